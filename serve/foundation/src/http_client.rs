//! Outgoing HTTPS to the services that the application was told of, such as its issuer: bounded in time and in the size
//! of an answer, by names that a static binary resolves itself. It follows no redirect and knows no proxy.
//!
//! Addresses that customers name are no services: those are for [`crate::webhook::client`].

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use axum::body::Bytes;
use axum::http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use tower::Service;
use url::{Url, form_urlencoded};

use crate::webhook::resolve::Resolve;

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(30);
/// How many of them a service.
const MOST_IDLE: usize = 4;
/// Bytes of a head of an answer: status line and headers.
const HEAD_LIMIT: usize = 64 * 1024;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("Bastide/", env!("CARGO_PKG_VERSION")));

/// How far a request may go.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The connection, without its name and its handshake.
    pub connect: Duration,
    /// All of it, from the name to the last byte of the answer.
    pub total: Duration,
    /// Bytes of an answer's body.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), total: Duration::from_secs(10), answer: 256 * 1024 }
    }
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// All of the body.
    pub body: Bytes,
}

impl Answer {
    /// The body, which is JSON.
    ///
    /// # Errors
    /// [`HttpError::Broken`], which repeats nothing of the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            HttpError::Broken(format!(
                "the answer is not the JSON that was expected, at column {}",
                error.column()
            ))
        })
    }
}

/// Why nothing came back. None of it repeats a header, a body or a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The URL itself cannot be asked.
    #[error("the URL is refused: {0}")]
    BadUrl(&'static str),
    /// No address, no connection or no trust.
    #[error("the connection failed: {0}")]
    Connect(String),
    /// The exchange broke.
    #[error("the exchange broke: {0}")]
    Broken(String),
    /// It took too long.
    #[error("there was no answer within {} s", .0.as_secs_f32())]
    Late(Duration),
    /// The answer is too long.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

/// Asks services over HTTPS. Clones share its connections.
#[derive(Clone)]
pub struct HttpClient {
    client: legacy::Client<HttpsConnector<HttpConnector<Names>>, Full<Bytes>>,
    limits: Limits,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HttpClient").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl HttpClient {
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
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut connector = HttpConnector::new_with_resolver(Names(resolver));
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(limits.connect));
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .http1_max_buf_size(HEAD_LIMIT)
            .build(connector);
        Ok(Self { client, limits })
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// Every variant of [`HttpError`].
    pub async fn get(&self, url: &Url) -> Result<Answer, HttpError> {
        self.get_with(url, HeaderMap::new()).await
    }

    /// Asks for JSON with further headers, such as a credential.
    ///
    /// # Errors
    /// Every variant of [`HttpError`].
    pub async fn get_with(&self, url: &Url, mut headers: HeaderMap) -> Result<Answer, HttpError> {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        self.ask(Method::GET, url, headers, Bytes::new()).await
    }

    /// Posts a form's fields.
    ///
    /// # Errors
    /// Every variant of [`HttpError`].
    pub async fn post_form(
        &self,
        url: &Url,
        mut headers: HeaderMap,
        fields: &[(&str, &str)],
    ) -> Result<Answer, HttpError> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self.ask(Method::POST, url, headers, body.into()).await
    }

    /// Posts a body whose type is among the headers.
    ///
    /// # Errors
    /// Every variant of [`HttpError`].
    pub async fn post(&self, url: &Url, headers: HeaderMap, body: Bytes) -> Result<Answer, HttpError> {
        self.ask(Method::POST, url, headers, body).await
    }

    async fn ask(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, HttpError> {
        if url.scheme() != "https" {
            return Err(HttpError::BadUrl("its scheme is not https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HttpError::BadUrl("it carries a user or a password"));
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().map_err(|_| HttpError::BadUrl("it cannot be asked for"))?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(USER_AGENT, AGENT);
        tokio::time::timeout(self.limits.total, self.exchange(request))
            .await
            .map_err(|_| HttpError::Late(self.limits.total))?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, HttpError> {
        let answer = self.client.request(request).await.map_err(|error| {
            let text = root_cause(&error);
            if error.is_connect() { HttpError::Connect(text) } else { HttpError::Broken(text) }
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, self.limits.answer).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                HttpError::TooLong(self.limits.answer)
            } else {
                HttpError::Broken(error.to_string())
            }
        })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }
}

/// What happened, rather than at which layer it was noticed.
fn root_cause(error: &legacy::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The resolver, as the connector asks it.
#[derive(Clone)]
struct Names(Arc<dyn Resolve>);

impl Service<Name> for Names {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = resolver.resolve(name.as_str()).await?;
            if addresses.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
            }
            // The connector puts the port in.
            let addresses: Vec<_> =
                addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(addresses.into_iter())
        })
    }
}

#[cfg(test)]
#[path = "http_client_tests.rs"]
mod tests;
