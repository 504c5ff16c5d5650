//! HTTP/1.1 and HTTP/2, over TCP.

use super::{BODY_KEPT, Exchange, HttpAnswer, HttpVersion, Target};
use crate::probe::refusal::{Ended, Stage};
use crate::probe::tls::{Offer, TlsSession};
use crate::probe::wire::{Duplex, Wire};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::Instant;

/// Makes the request over a connection of its own.
pub(super) async fn exchange(
    target: &Target,
    offer: Option<&Offer<'_>>,
    exchange: Exchange,
    deadline: Instant,
) -> Result<HttpAnswer, Ended> {
    let Wire { stream, session } = Wire::open(target.address, offer, deadline).await?;
    if exchange.version == HttpVersion::H2
        && session.as_ref().is_some_and(|s| s.alpn.as_deref() != Some("h2"))
    {
        return Err(Ended::refused(
            Stage::Tls,
            "the server does not speak HTTP/2 (ALPN chose something else)",
        ));
    }
    let work = async {
        let version = exchange.version;
        let answer = match version {
            HttpVersion::H2 => send_h2(stream, exchange).await,
            _ => send_h1(stream, exchange).await,
        };
        keep(answer.map_err(broke)?, version, session).await
    };
    crate::probe::refusal::by(deadline, Stage::Protocol, work).await
}

async fn send_h1(stream: Box<dyn Duplex>, exchange: Exchange) -> hyper::Result<http::Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The connection ends with the answer; its own error is the answer's error too.
    tokio::spawn(connection);
    sender.send_request(exchange.request.map(Full::new)).await
}

async fn send_h2(stream: Box<dyn Duplex>, exchange: Exchange) -> hyper::Result<http::Response<Incoming>> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    sender.send_request(exchange.request.map(Full::new)).await
}

async fn keep(
    answer: http::Response<Incoming>,
    version: HttpVersion,
    tls: Option<TlsSession>,
) -> Result<HttpAnswer, Ended> {
    let (head, mut body) = answer.into_parts();
    let mut kept = Vec::new();
    let mut truncated = false;
    while let Some(frame) = body.frame().await {
        let data: Bytes = frame.map_err(broke)?.into_data().unwrap_or_default();
        kept.extend_from_slice(&data);
        if kept.len() > BODY_KEPT {
            kept.truncate(BODY_KEPT);
            truncated = true;
            break;
        }
    }
    Ok(HttpAnswer::new(&head, version, &kept, truncated, tls))
}

/// The words of an error and of what caused it: hyper's own say little, the cause is the TLS alert.
fn broke(error: hyper::Error) -> Ended {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    Ended::refused(Stage::Protocol, words)
}
