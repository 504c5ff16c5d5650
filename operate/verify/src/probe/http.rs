//! HTTP requests over every version.

mod over_quic;
mod over_tcp;

use super::refusal::{Attempt, Ended, Stage, settle};
use super::tls::{Offer, TlsVersion};
use super::{ClientCertificate, TlsSession, Trust};
use crate::place::ProbeError;
use bytes::Bytes;
use http::Uri;
use http::uri::Scheme;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

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

/// Bytes that are kept of a body.
const BODY_KEPT: usize = 256 * 1024;

/// Where a request goes.
struct Target {
    address: SocketAddr,
}

/// A request and the version that it is made in.
struct Exchange {
    request: http::Request<Bytes>,
    version: HttpVersion,
}

impl Http {
    pub(super) async fn execute(self) -> Result<Attempt<HttpAnswer>, ProbeError> {
        settle(self.attempt().await)
    }

    async fn attempt(&self) -> Result<HttpAnswer, Ended> {
        let deadline = Instant::now() + Duration::from_millis(self.timeout_ms);
        let uri: Uri = self.url.parse().map_err(|error| self.unfit(error))?;
        let encrypted = uri.scheme() == Some(&Scheme::HTTPS);
        let host = uri.host().ok_or_else(|| self.unfit("it names no host"))?.to_owned();
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let target = Target { address: self.address(&host, port).await? };
        let exchange = Exchange { request: self.request(&uri)?, version: self.version };
        let offer = Offer {
            server_name: host.trim_matches(['[', ']']),
            trust: &self.trust,
            only: None,
            alpn: match self.version {
                HttpVersion::H1 => &["http/1.1"],
                HttpVersion::H2 => &["h2"],
                HttpVersion::H3 => &["h3"],
            },
            client: self.client.as_ref(),
        };
        match self.version {
            HttpVersion::H3 if !encrypted => Err(self.unfit("HTTP/3 needs https")),
            HttpVersion::H3 => {
                let offer = Offer { only: Some(TlsVersion::V1_3), ..offer };
                over_quic::exchange(&target, &offer, exchange, deadline).await
            }
            _ => over_tcp::exchange(&target, encrypted.then_some(&offer), exchange, deadline).await,
        }
    }

    fn unfit(&self, reason: impl std::fmt::Display) -> Ended {
        Ended::broken(format_args!("requesting {}", self.url), reason)
    }

    async fn address(&self, host: &str, port: u16) -> Result<SocketAddr, Ended> {
        if let Some(address) = self.connect_to {
            return Ok(address);
        }
        let unresolved = |reason: &dyn std::fmt::Display| {
            Ended::refused(Stage::Connect, format_args!("{host} does not resolve: {reason}"))
        };
        let mut found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port))
            .await
            .map_err(|error| unresolved(&error))?;
        found.next().ok_or_else(|| unresolved(&"no address"))
    }

    fn request(&self, uri: &Uri) -> Result<http::Request<Bytes>, Ended> {
        // HTTP/1.1 names the host in a field and the path alone in its first line; later versions take the whole URI.
        let in_line = match self.version {
            HttpVersion::H1 => uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            _ => uri.to_string(),
        };
        let mut builder = http::Request::builder().method(self.method.as_str()).uri(in_line);
        let names_host = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        if let (HttpVersion::H1, false, Some(authority)) = (self.version, names_host, uri.authority()) {
            builder = builder.header("host", authority.as_str());
        }
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        let body = Bytes::from(self.body.clone().unwrap_or_default());
        if self.version != HttpVersion::H1 && !body.is_empty() {
            builder = builder.header("content-length", body.len());
        }
        builder.body(body).map_err(|error| self.unfit(error))
    }
}

impl HttpAnswer {
    fn new(
        head: &http::response::Parts,
        version: HttpVersion,
        body: &[u8],
        truncated: bool,
        tls: Option<TlsSession>,
    ) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = head.headers.iter();
        Self {
            status: head.status.as_u16(),
            version,
            headers: headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            body: text(body),
            truncated,
            tls,
        }
    }
}

#[cfg(test)]
mod tests;
