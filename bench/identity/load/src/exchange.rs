//! Requests over a connection that is kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::LOCATION;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Who does not answer a request for this long will not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a flow ended early. Only flows that went well are measured, so one of these ends the run.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error("connecting to {0}: {1}")]
    Connect(SocketAddr, std::io::Error),
    #[error("the connection broke: {0}")]
    Broke(#[from] hyper::Error),
    #[error("a request that is none: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("{what}: an answer that was not expected: {answer}")]
    Unexpected { what: &'static str, answer: String },
    #[error("preparing: {0}")]
    Prepare(String),
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Where it leads, if its status is this one.
    pub fn location(&self, what: &'static str, status: u16) -> Result<&str, ExchangeError> {
        let location = self.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        match location {
            Some(location) if self.status == status => Ok(location),
            _ => Err(self.unexpected(what)),
        }
    }

    pub fn unexpected(&self, what: &'static str) -> ExchangeError {
        ExchangeError::Unexpected {
            what,
            answer: format!("{} {:?} {}", self.status, self.headers, self.text()),
        }
    }
}

/// Somebody who answers requests.
pub struct Peer {
    address: SocketAddr,
    /// Over TLS, as `localhost`; plain without it.
    tls: Option<TlsConnector>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Peer {
    pub fn new(address: SocketAddr, tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        Self { address, tls: tls.map(TlsConnector::from), sender: None }
    }

    /// Sends a request; its answer, to the end.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, ExchangeError> {
        let exchange = async {
            let open = match &mut self.sender {
                Some(sender) => sender.ready().await.is_ok(),
                None => false,
            };
            if !open {
                self.sender = None;
            }
            let sender = match &mut self.sender {
                Some(sender) => sender,
                none => none.insert(connect(self.address, self.tls.as_ref()).await?),
            };
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| ExchangeError::Late)?
    }
}

async fn connect(
    address: SocketAddr,
    tls: Option<&TlsConnector>,
) -> Result<SendRequest<Full<Bytes>>, ExchangeError> {
    let failed = |error| ExchangeError::Connect(address, error);
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let Some(tls) = tls else {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        return Ok(sender);
    };
    let name =
        ServerName::try_from("localhost").map_err(|error| ExchangeError::Prepare(error.to_string()))?;
    let stream = tls.connect(name, stream).await.map_err(failed)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    Ok(sender)
}
