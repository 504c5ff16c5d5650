//! HTTP requests over every version.

use super::{ClientCertificate, TlsSession, Trust};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// One HTTP request; redirects are not followed, and at most 256 KiB of the body are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Http {
    /// Absolute URL, `http://` or `https://`.
    pub url: String,
    /// Where to connect, whatever the URL's name resolves to.
    pub connect_to: Option<SocketAddr>,
    /// Method.
    pub method: String,
    /// Header fields beyond `host`.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<String>,
    /// The one version spoken.
    pub version: HttpVersion,
    /// By which authorities the certificate is judged.
    pub trust: Trust,
    /// Certificate that the client shows when asked.
    pub client: Option<ClientCertificate>,
    /// Milliseconds for the whole request.
    pub timeout_ms: u64,
}

impl Http {
    /// GET `url` over HTTP/1.1.
    pub fn get(url: &str, trust: Trust) -> Self {
        Self {
            url: url.to_owned(),
            connect_to: None,
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: None,
            version: HttpVersion::H1,
            trust,
            client: None,
            timeout_ms: 5_000,
        }
    }

    /// Connects to `address`, whatever the name resolves to.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.connect_to = Some(address);
        self
    }

    /// Speaks `version`.
    #[must_use]
    pub fn over(mut self, version: HttpVersion) -> Self {
        self.version = version;
        self
    }

    /// Sends a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpVersion {
    /// HTTP/1.1.
    H1,
    /// HTTP/2, over TLS with ALPN `h2`, or with prior knowledge over `http://`.
    H2,
    /// HTTP/3, over QUIC.
    H3,
}

/// An answer to an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// Version that it came over.
    pub version: HttpVersion,
    /// Header fields, names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    /// Body as text.
    pub body: String,
    /// Whether the body was longer than what is kept.
    pub truncated: bool,
    /// The TLS session below it; none for `http://`.
    pub tls: Option<TlsSession>,
}

impl HttpAnswer {
    /// The first header field of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}
