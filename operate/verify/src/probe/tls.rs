//! TLS handshakes.

use super::Hidden;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

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
