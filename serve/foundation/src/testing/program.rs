//! A program of the platform's as its host starts it, and a client that verifies its certificate.

use std::collections::BTreeMap;
use std::net::TcpStream as StdStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::servers::{Servers, free_ports, send, wait_until};

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Runs a command of a program to its end.
pub fn run(binary: &str, arguments: &[&str], environment: &BTreeMap<&'static str, String>) -> Output {
    Command::new(binary).args(arguments).env_clear().envs(environment).output().unwrap()
}

/// One running program.
pub struct Program {
    binary: &'static str,
    environment: BTreeMap<&'static str, String>,
    child: Child,
    pub port: u16,
    pub metrics_port: u16,
    ca: PathBuf,
    log: PathBuf,
}

impl Program {
    /// Starts a command of the program on ports of its own, and waits until it listens.
    pub fn start(
        binary: &'static str,
        command: &str,
        servers: &Servers,
        mut environment: BTreeMap<&'static str, String>,
    ) -> Self {
        let [port, metrics_port] = free_ports();
        environment.insert("PORT", port.to_string());
        environment.insert("METRICS_PORT", metrics_port.to_string());
        let log = servers.path(&format!("program-{port}.log"));
        let child = spawn(binary, command, &environment, &log);
        wait_for(port);
        Self { binary, environment, child, port, metrics_port, ca: servers.path("ca.pem"), log }
    }

    /// Another process of it, in the same environment but for its ports.
    pub fn start_another(&self, servers: &Servers) -> Self {
        Self::start(self.binary, "serve", servers, self.environment.clone())
    }

    /// Ends it at once, whatever it is doing.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, after its end, where it was; with these variables changed.
    pub fn start_again(&mut self, variables: &[(&'static str, &str)]) {
        self.environment.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self.child = spawn(self.binary, "serve", &self.environment, &self.log);
        wait_for(self.port);
    }

    /// Runs another command of it, in the environment of the running program.
    pub fn run(&self, arguments: &[&str]) -> Output {
        run(self.binary, arguments, &self.environment)
    }

    pub fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Waits for the end and returns the exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        let child = &mut self.child;
        wait_until("the program to exit", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// The log's lines, each of them JSON.
    pub fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .collect()
    }

    /// A connection for many requests.
    pub async fn connect(&self) -> Connection {
        Connection::new(self.port, &self.ca, "h2").await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[]).await
    }

    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(method, path, headers, "").await
    }

    /// A request with a body.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        exchange(self.port, &self.ca, "h2", method, path, headers, body.to_owned()).await.unwrap()
    }

    /// The authority that signed the program's certificate.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    pub async fn metrics(&self) -> String {
        let stream = TcpStream::connect(("127.0.0.1", self.metrics_port)).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/metrics").header("host", "localhost").body(Body::empty()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    /// Asks for readiness until the stores that do not answer are exactly these.
    pub async fn wait_for_missing(&self, expected: &[&str]) {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let answer = self.get("/readyz").await;
            let document = answer.json();
            let missing: Vec<&str> = document["missing"]
                .as_array()
                .map(|names| names.iter().filter_map(Value::as_str).collect())
                .unwrap_or_default();
            let expected_status = if expected.is_empty() { 200 } else { 503 };
            if missing == expected && answer.status == expected_status {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "expected {expected:?} to be missing: {}",
                answer.text
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

fn spawn(binary: &str, command: &str, environment: &BTreeMap<&'static str, String>, log: &Path) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
    Command::new(binary).arg(command).env_clear().envs(environment).stdout(Stdio::from(log)).spawn().unwrap()
}

fn wait_for(port: u16) {
    wait_until("the program to listen", || StdStream::connect(("127.0.0.1", port)).is_ok());
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have exited already, which is what dropping wants.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own, over TLS verified with `ca`, in the protocol named.
pub async fn ask(
    port: u16,
    ca: &Path,
    protocol: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    exchange(port, ca, protocol, method, path, headers, String::new()).await
}

/// One request with a body, as [`ask`].
pub async fn exchange(
    port: u16,
    ca: &Path,
    protocol: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    Connection::new(port, ca, protocol).await?.send(method, path, headers, body).await
}

/// A connection over TLS, in one of the two protocols.
pub struct Connection {
    port: u16,
    sender: Sender,
}

enum Sender {
    Http1(hyper::client::conn::http1::SendRequest<Body>),
    Http2(hyper::client::conn::http2::SendRequest<Body>),
}

impl Connection {
    async fn new(
        port: u16,
        ca: &Path,
        protocol: &str,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        // As what stands before the program does; without it a body waits for the acknowledgement of its head.
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(Arc::new(config)).connect("localhost".try_into()?, stream).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        let io = TokioIo::new(stream);
        let sender = if protocol == "h2" {
            let (sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            let (sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            tokio::spawn(connection);
            Sender::Http1(sender)
        };
        Ok(Self { port, sender })
    }

    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let uri = format!("https://localhost:{}{path}", self.port);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("host", "localhost").body(Body::from(body))?;
        let response = match &mut self.sender {
            Sender::Http1(sender) => sender.send_request(request).await?,
            Sender::Http2(sender) => sender.send_request(request).await?,
        };
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok(Answer { status: parts.status, headers: parts.headers, text })
    }
}
