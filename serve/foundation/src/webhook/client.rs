//! One request to an address that a customer named: vetted, bounded, and no further.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::future::FutureExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::address::Allowed;
use super::resolve::Resolve;

/// Characters of an answer that are kept for the person who looks at a delivery.
const EXCERPT: usize = 1024;
/// Bytes of a head of an answer: status line and headers.
const HEAD_LIMIT: usize = 16 * 1024;

/// How far a delivery may go.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Beyond the public Internet.
    pub allowed: Allowed,
    /// Whether `http:` is accepted; for tests.
    pub plain: bool,
    /// Name, connection and handshake.
    pub connect: Duration,
    /// All of it.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { allowed: Allowed::default(), plain: false, connect: seconds(5), total: seconds(15) }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The beginning of the body, without control characters.
    pub excerpt: String,
    /// The header `Retry-After` in seconds.
    pub retry_after: Option<u64>,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The URL itself cannot be delivered to.
    #[error("the URL is refused: {0}")]
    BadUrl(&'static str),
    /// One of the name's addresses is not public.
    #[error("the address is not one of the public Internet")]
    NotPublic,
    /// The name has no address.
    #[error("the name cannot be resolved")]
    NoAddress,
    /// No connection.
    #[error("the connection failed: {0}")]
    Connect(String),
    /// The exchange broke.
    #[error("the exchange broke: {0}")]
    Broken(String),
    /// It took too long.
    #[error("there was no answer in time")]
    Late,
}

/// Delivers to endpoints. It follows no redirect, knows no proxy and keeps no connection.
#[derive(Clone)]
pub struct Client {
    resolver: Arc<dyn Resolve>,
    tls: Arc<ClientConfig>,
    limits: Limits,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Client {
    /// Trusts the public authorities and `extra`.
    ///
    /// # Errors
    /// When one of `extra` is no authority.
    pub fn new(
        resolver: Arc<dyn Resolve>,
        extra: &[CertificateDer<'static>],
        limits: Limits,
    ) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for authority in extra {
            roots.add(authority.clone())?;
        }
        let mut tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { resolver, tls: Arc::new(tls), limits })
    }

    /// Whether a URL can be delivered to, as far as can be said without asking for its address.
    ///
    /// # Errors
    /// [`SendError::BadUrl`] and [`SendError::NotPublic`].
    pub fn vet(&self, url: &Url) -> Result<(), SendError> {
        if url.scheme() != "https" && !(self.limits.plain && url.scheme() == "http") {
            return Err(SendError::BadUrl("its scheme is not https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SendError::BadUrl("it carries a user or a password"));
        }
        match literal(url) {
            Some(address) if !self.limits.allowed.permits(address) => Err(SendError::NotPublic),
            _ if url.host().is_none() => Err(SendError::BadUrl("it names no host")),
            _ => Ok(()),
        }
    }

    /// Posts a JSON body with these headers.
    ///
    /// # Errors
    /// Every variant of [`SendError`].
    pub async fn post(
        &self,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, SendError> {
        self.vet(url)?;
        tokio::time::timeout(self.limits.total, self.exchange(url, headers, body))
            .await
            .map_err(|_| SendError::Late)?
    }

    async fn exchange(
        &self,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, SendError> {
        let connect = async {
            let stream = self.connect(url).await?;
            if url.scheme() == "http" {
                return Ok(stream.boxed_stream());
            }
            let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(name).map_err(|_| SendError::BadUrl("its host is no name"))?;
            let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
            Ok(stream.map_err(|error| SendError::Connect(error.to_string()))?.boxed_stream())
        };
        let stream =
            tokio::time::timeout(self.limits.connect, connect).await.map_err(|_| SendError::Late)??;
        let request = request(url, headers, body)?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_LIMIT)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        let exchange = async move {
            let mut answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
            let retry_after = answer.headers().get("retry-after");
            let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
            let status = answer.status().as_u16();
            let mut kept = Vec::new();
            // What comes after the excerpt is not read: the connection is closed with it.
            while kept.len() < EXCERPT
                && let Some(Ok(frame)) = answer.body_mut().frame().await
            {
                kept.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
            }
            Ok(Answer { status, excerpt: excerpt(&kept), retry_after })
        };
        // Both end here: dropping the connection closes it.
        let connection = connection.fuse();
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }

    /// Resolves the name once, vets every address, and connects to what was vetted: a later answer of the name's
    /// servers changes nothing.
    async fn connect(&self, url: &Url) -> Result<TcpStream, SendError> {
        let addresses = match (literal(url), url.host_str()) {
            (Some(address), _) => vec![address],
            (None, Some(name)) => self.resolver.resolve(name).await.map_err(|_| SendError::NoAddress)?,
            (None, None) => return Err(SendError::BadUrl("it names no host")),
        };
        if addresses.is_empty() {
            return Err(SendError::NoAddress);
        }
        if !addresses.iter().all(|address| self.limits.allowed.permits(*address)) {
            return Err(SendError::NotPublic);
        }
        let port = url.port_or_known_default().unwrap_or(443);
        let addresses: Vec<SocketAddr> =
            addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        TcpStream::connect(&addresses[..]).await.map_err(|error| SendError::Connect(error.to_string()))
    }
}

/// A connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    fn boxed_stream(self) -> Box<dyn Stream>
    where
        Self: Sized + 'static,
    {
        Box::new(self)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

fn request(
    url: &Url,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
) -> Result<Request<Full<Bytes>>, SendError> {
    let authority = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => return Err(SendError::BadUrl("it names no host")),
    };
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(target)
        .header(HOST, authority)
        .header(USER_AGENT, "Standard-Webhooks/1.0")
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close")
        .body(Full::new(body))
        .map_err(|_| SendError::BadUrl("it cannot be asked for"))?;
    request.headers_mut().extend(headers.iter().cloned());
    Ok(request)
}

fn broken(error: &hyper::Error) -> SendError {
    SendError::Broken(error.to_string())
}

fn excerpt(bytes: &[u8]) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    String::from_utf8_lossy(bytes).chars().take(EXCERPT).map(visible).collect()
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
