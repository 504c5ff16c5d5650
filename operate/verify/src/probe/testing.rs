//! Real servers on loopback, for tests of the probes.

use super::{ClientCertificate, Hidden, Trust};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Where the servers are.
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    /// Certificate and key for a name, PEM.
    pub fn issue(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub fn client(&self) -> ClientCertificate {
        let (chain, key) = self.issue("client.test");
        ClientCertificate { chain, key: Hidden::from(key) }
    }

    pub fn trust(&self) -> Trust {
        Trust::Authorities(self.pem.clone())
    }

    /// A server for `name`; with `clients`, only for clients with a certificate of that authority.
    pub fn server(
        &self,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<&Authority>,
        alpn: &[&str],
    ) -> ServerConfig {
        use rustls::pki_types::pem::PemObject;
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }
}

/// Accepts handshakes, says `hello` and hangs up after the client.
pub async fn serve_tls(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = stream.write_all(b"hello").await;
                let _ = stream.read(&mut [0; 16]).await;
            });
        }
    });
    address
}

/// Answers every connection's first bytes with these, and hangs up.
pub async fn serve_bytes(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 2048]).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    address
}

type Request = http::Request<hyper::body::Incoming>;

/// Says what it was asked, over HTTP/1.1 and HTTP/2, in the clear or in TLS.
pub async fn serve_http(config: Option<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = config.map(|config| TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Some(acceptor) = acceptor else {
                    let served = hyper::server::conn::http1::Builder::new();
                    let _ = served.serve_connection(TokioIo::new(stream), service_fn(echo)).await;
                    return;
                };
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let second = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let io = TokioIo::new(stream);
                if second {
                    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = served.serve_connection(io, service_fn(echo)).await;
                } else {
                    let served = hyper::server::conn::http1::Builder::new();
                    let _ = served.serve_connection(io, service_fn(echo)).await;
                }
            });
        }
    });
    address
}

async fn echo(request: Request) -> Result<http::Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    if head.uri.path() == "/long" {
        return Ok(http::Response::new(Full::new(Bytes::from(vec![b'x'; 1_000_000]))));
    }
    if head.uri.path() == "/moved" {
        let moved = http::Response::builder().status(308).header("Location", "https://elsewhere.test/");
        return Ok(moved.body(Full::default()).unwrap());
    }
    let host = head.headers.get("host").and_then(|host| host.to_str().ok()).or(head.uri.host());
    let said = head.headers.get("x-said").and_then(|said| said.to_str().ok()).unwrap_or_default();
    let text = format!("{} {} {} {said} {}", head.method, head.uri.path(), host.unwrap_or(""), body.len());
    Ok(http::Response::builder().header("X-Served-By", "test").body(Full::from(text)).unwrap())
}

/// Answers `third` to every request over HTTP/3.
pub fn serve_http3(config: ServerConfig) -> SocketAddr {
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(config).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let endpoint = quinn::Endpoint::server(config, (HERE, 0).into()).unwrap();
    let address = endpoint.local_addr().unwrap();
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                let connection = h3_quinn::Connection::new(connection);
                let mut connection = h3::server::Connection::<_, Bytes>::new(connection).await.unwrap();
                while let Ok(Some(resolver)) = connection.accept().await {
                    let (_, mut stream) = resolver.resolve_request().await.unwrap();
                    stream.send_response(http::Response::new(())).await.unwrap();
                    stream.send_data(Bytes::from_static(b"third")).await.unwrap();
                    stream.finish().await.unwrap();
                }
            });
        }
    });
    address
}
