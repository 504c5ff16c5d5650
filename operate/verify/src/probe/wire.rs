//! Connections, in the clear or within TLS.

use super::refusal::{Ended, Stage, by};
use super::tls::{Offer, TlsSession, handshake};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A connection of either kind.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, and the TLS session within it if there is one.
pub(super) struct Wire {
    pub(super) stream: Box<dyn Duplex>,
    pub(super) session: Option<TlsSession>,
}

impl Wire {
    /// Connects, and shakes hands where TLS is offered.
    pub(super) async fn open(
        target: SocketAddr,
        offer: Option<&Offer<'_>>,
        deadline: Instant,
    ) -> Result<Self, Ended> {
        let stream = dial(target, deadline).await?;
        let Some(offer) = offer else { return Ok(Self { stream: Box::new(stream), session: None }) };
        let (stream, session) = by(deadline, Stage::Tls, handshake(stream, offer)).await?;
        Ok(Self { stream: Box::new(stream), session: Some(session) })
    }
}

/// Opens a TCP connection.
pub(super) async fn dial(target: SocketAddr, deadline: Instant) -> Result<TcpStream, Ended> {
    let connecting = async {
        let stream = TcpStream::connect(target)
            .await
            .map_err(|error| Ended::refused(Stage::Connect, format_args!("{target}: {error}")))?;
        // Small messages that wait for answers gain nothing from being collected.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    };
    by(deadline, Stage::Connect, connecting).await
}

/// Asks a PostgreSQL server to begin TLS; it answers with one letter.
pub(super) async fn ask_postgres_for_tls(stream: &mut TcpStream) -> Result<(), Ended> {
    /// Length 8, then the code 80877103.
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let broke = |error: std::io::Error| Ended::refused(Stage::Tls, format_args!("asking for TLS: {error}"));
    stream.write_all(&SSL_REQUEST).await.map_err(broke)?;
    match stream.read_u8().await.map_err(broke)? {
        b'S' => Ok(()),
        b'N' => Err(Ended::refused(Stage::Tls, "the server does not offer TLS")),
        other => {
            Err(Ended::refused(Stage::Tls, format_args!("asked for TLS, the server answered {other:#04x}")))
        }
    }
}
