//! A receiver of webhooks: keeps what it is sent, answers as it is told, and verifies signatures by what the standard says
//! and by nothing of ours.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foundation::environment::ServerCertificate;
use foundation::testing::servers::Servers;
use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What was sent.
#[derive(Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// How many of the signatures are by this secret, as Standard Webhooks 1.0.0 has it.
    pub fn signatures_by(&self, secret: &str) -> usize {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let signed = format!("{id}.{timestamp}.{}", self.body);
        let expected = format!("v1,{}", STANDARD.encode(hmac_sha256(&key, signed.as_bytes())));
        self.header("webhook-signature").split(' ').filter(|signature| *signature == expected).count()
    }
}

/// RFC 2104.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

/// An answer: its status, and where it says to go.
pub type Told = (u16, Option<String>);

/// Listens on the loopback, over TLS by the servers' authority.
pub struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    told: Arc<Mutex<VecDeque<Told>>>,
}

impl Receiver {
    pub async fn start(servers: &Servers) -> Self {
        let files =
            ServerCertificate { certificate: servers.path("server.pem"), key: servers.path("server.key") };
        let tls = TlsAcceptor::from(Arc::new(foundation::tls::server(&files).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = Self { port, received: Arc::default(), told: Arc::default() };
        let (received, told) = (Arc::clone(&receiver.received), Arc::clone(&receiver.told));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = tls.accept(stream).await else { continue };
                let (received, told) = (Arc::clone(&received), Arc::clone(&told));
                let service =
                    service_fn(move |request| take(request, Arc::clone(&received), Arc::clone(&told)));
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(serving);
            }
        });
        receiver
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the next requests are answered, instead of 200.
    pub fn answer(&self, statuses: &[u16]) {
        self.told.lock().unwrap().extend(statuses.iter().map(|status| (*status, None)));
    }

    /// The next request is sent elsewhere.
    pub fn redirect(&self, to: String) {
        self.told.lock().unwrap().push_back((307, Some(to)));
    }

    pub fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let started = Instant::now();
        loop {
            let all = self.all();
            if all.len() >= count {
                return all;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "{} instead of {count} requests", all.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn take(
    request: Request<hyper::body::Incoming>,
    received: Arc<Mutex<Vec<Received>>>,
    told: Arc<Mutex<VecDeque<Told>>>,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let path = parts.uri.to_string();
    received.lock().unwrap().push(Received { path, headers: parts.headers, body });
    let (status, location) = told.lock().unwrap().pop_front().unwrap_or((200, None));
    let mut response = Response::builder().status(status);
    if let Some(location) = location {
        response = response.header("location", location);
    }
    Ok(response.body(Body::from("noted")).unwrap())
}
