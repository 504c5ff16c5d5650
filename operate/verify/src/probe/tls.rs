//! TLS handshakes.

mod certificate;
mod legacy;
mod offer;

pub(super) use certificate::describe;
pub(super) use offer::Offer;

use super::Hidden;
use super::refusal::{Attempt, Ended, Stage, by, settle};
use super::wire::{ask_postgres_for_tls, dial};
use crate::place::ProbeError;
use rustls::ProtocolVersion;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Shakes hands in TLS and says what was agreed on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tls {
    /// Address of the server.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Name that the certificate must be for, sent as SNI; an address in text is possible.
    pub server_name: String,
    /// By which authorities the certificate is judged.
    pub trust: Trust,
    /// What comes before the handshake.
    pub start: TlsStart,
    /// The only version offered; none offers 1.2 and 1.3. An offer of 1.0 or 1.1 is a bare ClientHello, and any
    /// answer but an alert counts as a session.
    pub only: Option<TlsVersion>,
    /// Protocols offered by ALPN, such as `h2`.
    pub alpn: Vec<String>,
    /// Certificate that the client shows when asked.
    pub client: Option<ClientCertificate>,
    /// Milliseconds for the whole attempt.
    pub timeout_ms: u64,
}

impl Tls {
    /// A handshake with `server_name` at an address, judged by `trust`.
    pub fn new(address: IpAddr, port: u16, server_name: &str, trust: Trust) -> Self {
        Self {
            address,
            port,
            server_name: server_name.to_owned(),
            trust,
            start: TlsStart::Direct,
            only: None,
            alpn: Vec::new(),
            client: None,
            timeout_ms: 5_000,
        }
    }
}

/// What comes before a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsStart {
    /// Nothing.
    Direct,
    /// PostgreSQL's SSLRequest.
    Postgres,
}

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.0.
    #[serde(rename = "1.0")]
    V1_0,
    /// TLS 1.1.
    #[serde(rename = "1.1")]
    V1_1,
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

impl TlsVersion {
    /// The version as people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            TlsVersion::V1_0 => "TLS 1.0",
            TlsVersion::V1_1 => "TLS 1.1",
            TlsVersion::V1_2 => "TLS 1.2",
            TlsVersion::V1_3 => "TLS 1.3",
        }
    }
}

/// By which authorities a server's certificate is judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The ones that browsers trust.
    Public,
    /// The ones in this PEM text, and no others.
    Authorities(String),
    /// Any certificate passes.
    Unchecked,
}

/// A certificate with which a client says who it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// Certificate and intermediates, PEM.
    pub chain: String,
    /// Private key, PEM.
    pub key: Hidden,
}

/// What was agreed on in a handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsSession {
    /// Version.
    pub version: TlsVersion,
    /// Cipher suite.
    pub cipher: String,
    /// Protocol agreed on by ALPN.
    pub alpn: Option<String>,
    /// How many certificates the server sent.
    pub chain_length: usize,
    /// Subject of the server's certificate.
    pub subject: String,
    /// Issuer of the server's certificate.
    pub issuer: String,
    /// Names that it is for.
    pub names: Vec<String>,
    /// When its validity begins, in seconds since 1970.
    pub not_before: i64,
    /// When its validity ends, in seconds since 1970.
    pub not_after: i64,
}

impl Tls {
    pub(super) async fn execute(self) -> Result<Attempt<TlsSession>, ProbeError> {
        settle(self.attempt().await)
    }

    async fn attempt(&self) -> Result<TlsSession, Ended> {
        let deadline = Instant::now() + Duration::from_millis(self.timeout_ms);
        let mut stream = dial(SocketAddr::new(self.address, self.port), deadline).await?;
        let shaking = async move {
            if self.start == TlsStart::Postgres {
                ask_postgres_for_tls(&mut stream).await?;
            }
            if let Some(old @ (TlsVersion::V1_0 | TlsVersion::V1_1)) = self.only {
                return Ok((None, legacy::offer(stream, &self.server_name, old).await?));
            }
            let alpn: Vec<&str> = self.alpn.iter().map(String::as_str).collect();
            let offer = Offer {
                server_name: &self.server_name,
                trust: &self.trust,
                only: self.only,
                alpn: &alpn,
                client: self.client.as_ref(),
            };
            handshake(stream, &offer).await.map(|(stream, session)| (Some(stream), session))
        };
        let (stream, session) = by(deadline, Stage::Tls, shaking).await?;
        if let Some(stream) = stream {
            accepted(stream, deadline.min(Instant::now() + LEAVE)).await?;
        }
        Ok(session)
    }
}

/// Shakes hands, and describes what was agreed on.
pub(super) async fn handshake(
    stream: TcpStream,
    offer: &Offer<'_>,
) -> Result<(TlsStream<TcpStream>, TlsSession), Ended> {
    let connector = TlsConnector::from(Arc::new(offer.config()?));
    let refused = |error: std::io::Error| Ended::refused(Stage::Tls, error);
    let stream = connector.connect(offer.name()?, stream).await.map_err(refused)?;
    let (_, connection) = stream.get_ref();
    let session = describe(
        connection.protocol_version().unwrap_or(ProtocolVersion::TLSv1_2),
        connection.negotiated_cipher_suite(),
        connection.alpn_protocol(),
        connection.peer_certificates().unwrap_or_default(),
    );
    Ok((stream, session))
}

/// How long a server may take to hang up after the client has.
const LEAVE: Duration = Duration::from_secs(1);

/// Takes leave and reads to the end: in TLS 1.3 a server judges the client's certificate after the client has
/// finished, so its refusal arrives only now.
async fn accepted(mut stream: TlsStream<TcpStream>, deadline: Instant) -> Result<(), Ended> {
    let refused = |error: std::io::Error| Ended::refused(Stage::Tls, error);
    stream.shutdown().await.map_err(refused)?;
    let mut rest = [0; 1024];
    loop {
        match timeout_at(deadline, stream.read(&mut rest)).await {
            Ok(Ok(1..)) => {}
            Ok(Err(error)) if error.kind() == ErrorKind::InvalidData => return Err(refused(error)),
            // The end, with or without manners, or a server that keeps the connection.
            Ok(_) | Err(_) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
