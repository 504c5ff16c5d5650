//! HTTP/3, over QUIC.

use super::{BODY_KEPT, Exchange, HttpAnswer, Target};
use crate::probe::refusal::{Ended, Stage, by};
use crate::probe::tls::{Offer, describe};
use bytes::Buf;
use h3_quinn::quinn;
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig};
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use tokio::time::Instant;

/// Makes the request over a connection of its own.
pub(super) async fn exchange(
    target: &Target,
    offer: &Offer<'_>,
    exchange: Exchange,
    deadline: Instant,
) -> Result<HttpAnswer, Ended> {
    let any: IpAddr =
        if target.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let endpoint = quinn::Endpoint::client((any, 0).into())
        .map_err(|error| Ended::broken("opening a socket for QUIC", error))?;
    let answer = by(deadline, Stage::Connect, connect(&endpoint, target, offer)).await;
    let answer = match answer {
        Ok(connection) => by(deadline, Stage::Protocol, send(connection, exchange)).await,
        Err(ended) => Err(ended),
    };
    endpoint.close(0u32.into(), b"done");
    answer
}

async fn connect(
    endpoint: &quinn::Endpoint,
    target: &Target,
    offer: &Offer<'_>,
) -> Result<quinn::Connection, Ended> {
    let crypto = QuicClientConfig::try_from(offer.config()?)
        .map_err(|error| Ended::broken("preparing a QUIC client", error))?;
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connecting = endpoint
        .connect_with(config, target.address, offer.server_name)
        .map_err(|error| Ended::broken(format_args!("connecting to {} by QUIC", target.address), error))?;
    connecting.await.map_err(|error| match error {
        quinn::ConnectionError::TransportError(error) => Ended::refused(Stage::Tls, error),
        other => Ended::refused(Stage::Connect, format_args!("QUIC to {}: {other}", target.address)),
    })
}

async fn send(connection: quinn::Connection, exchange: Exchange) -> Result<HttpAnswer, Ended> {
    let session = session(&connection);
    let connection = h3_quinn::Connection::new(connection);
    let (mut driver, mut sender) =
        h3::client::new(connection).await.map_err(|error| Ended::refused(Stage::Protocol, error))?;
    let driving = tokio::spawn(async move { poll_fn(|context| driver.poll_close(context)).await });
    let broke = |error: h3::error::StreamError| Ended::refused(Stage::Protocol, error);
    let (head, body) = exchange.request.into_parts();
    let mut stream = sender.send_request(http::Request::from_parts(head, ())).await.map_err(broke)?;
    if !body.is_empty() {
        stream.send_data(body).await.map_err(broke)?;
    }
    stream.finish().await.map_err(broke)?;
    let (head, ()) = stream.recv_response().await.map_err(broke)?.into_parts();
    let mut kept = Vec::new();
    let mut truncated = false;
    while let Some(mut data) = stream.recv_data().await.map_err(broke)? {
        kept.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        if kept.len() > BODY_KEPT {
            kept.truncate(BODY_KEPT);
            truncated = true;
            break;
        }
    }
    driving.abort();
    Ok(HttpAnswer::new(&head, exchange.version, &kept, truncated, Some(session)))
}

fn session(connection: &quinn::Connection) -> crate::probe::TlsSession {
    let chain = connection.peer_identity().and_then(|id| id.downcast::<Vec<CertificateDer<'static>>>().ok());
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let alpn = data.as_ref().and_then(|data| data.protocol.as_deref());
    describe(ProtocolVersion::TLSv1_3, None, alpn, chain.as_deref().map_or(&[][..], Vec::as_slice))
}
