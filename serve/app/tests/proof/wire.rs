//! HTTP/1.1 on a connection that is kept, with requests as wrong as a test wants them.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::application::{Answer, Application};

pub type Failure = Box<dyn Error + Send + Sync>;

/// One connection, made anew where it has ended.
pub struct Wire {
    port: u16,
    config: Arc<ClientConfig>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// A request in the making: [`Wire::send`] adds the host.
#[derive(Clone)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Bytes,
}

impl Ask {
    pub fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Instead of all headers of this name.
    pub fn instead(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    /// Without headers of this name.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.instead("authorization", format!("Bearer {token}"))
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn json(self, value: &serde_json::Value) -> Self {
        self.instead("content-type", "application/json").body(value.to_string())
    }
}

impl Wire {
    pub fn to(application: &Application) -> Self {
        Self::at(application.port, application.ca().to_path_buf())
    }

    pub fn at(port: u16, ca: PathBuf) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { port, config: Arc::new(config), sender: None }
    }

    /// A stream on which nothing was said yet.
    pub async fn connect(&self) -> Result<TlsStream<TcpStream>, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(TlsConnector::from(Arc::clone(&self.config)).connect("localhost".try_into()?, stream).await?)
    }

    /// Sends it, and connects before where that is needed.
    pub async fn send(&mut self, ask: &Ask) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(&ask.method).uri(&ask.path).header("host", "localhost");
        for (name, value) in &ask.headers {
            request = request.header(name, value.as_slice());
        }
        let request = request.body(Full::new(ask.body.clone()))?;
        if self.sender.as_ref().is_none_or(SendRequest::is_closed) {
            let (sender, connection) = handshake(TokioIo::new(self.connect().await?)).await?;
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        let sender = self.sender.as_mut().ok_or("the connection was made")?;
        let answered = async {
            sender.ready().await?;
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let text = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
            Ok(Answer { status: parts.status, headers: parts.headers, text })
        };
        let answer = answered.await;
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }
}
