//! A mail server on the loopback: TLS from the first byte or by STARTTLS, AUTH PLAIN, and what it was handed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::servers::Servers;

/// `\0app\0` and the password of all servers, in base 64.
const LOGIN: &str = "AUTH PLAIN AGFwcABjb3JyZWN0LWhvcnNlLWJhdHRlcnktc3RhcGxl";

/// How TLS begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Wrapped,
    StartTls,
}

/// A message as it was handed in.
#[derive(Clone, Debug)]
pub struct Received {
    pub from: String,
    pub to: String,
    pub data: String,
}

#[derive(Default)]
struct Desk {
    received: Vec<Received>,
    /// What the next messages are answered with, in place of taking them.
    refusals: VecDeque<&'static str>,
    /// Commands that came before TLS or the login and should not have.
    early: Vec<String>,
}

/// The server.
#[derive(Clone)]
pub struct MailServer {
    pub port: u16,
    desk: Arc<Mutex<Desk>>,
}

impl MailServer {
    /// Starts it with the certificate of the other servers.
    pub async fn start(servers: &Servers, way: Way) -> Self {
        let chain = CertificateDer::pem_file_iter(servers.path("server.pem")).unwrap();
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(servers.path("server.key")).unwrap();
        let config =
            rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), desk: Arc::default() };
        let desk = Arc::clone(&server.desk);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, desk) = (acceptor.clone(), Arc::clone(&desk));
                // A conversation that breaks is the client's to repeat.
                tokio::spawn(async move {
                    let stream = match way {
                        Way::Wrapped => acceptor.accept(stream).await.ok()?,
                        Way::StartTls => {
                            let stream = plain(stream, &desk).await?;
                            acceptor.accept(stream).await.ok()?
                        }
                    };
                    secure(stream, way, &desk).await
                });
            }
        });
        server
    }

    /// Answers the next message so.
    pub fn refuse_next(&self, answer: &'static str) {
        self.desk.lock().unwrap().refusals.push_back(answer);
    }

    pub fn received(&self) -> Vec<Received> {
        self.desk.lock().unwrap().received.clone()
    }

    /// Commands that should have waited for TLS or the login.
    pub fn early(&self) -> Vec<String> {
        self.desk.lock().unwrap().early.clone()
    }

    /// Waits until there are so many messages.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "waited in vain for {count} messages: {received:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), text: &str) -> Option<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()
}

async fn hear(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut line = String::new();
    (stream.read_line(&mut line).await.ok()? > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Until STARTTLS; the stream then.
async fn plain<S: AsyncRead + AsyncWrite + Unpin>(stream: S, desk: &Mutex<Desk>) -> Option<S> {
    let mut stream = BufReader::new(stream);
    say(&mut stream, "220 localhost ready").await?;
    loop {
        let line = hear(&mut stream).await?;
        match line.split(' ').next().unwrap_or_default() {
            "EHLO" => say(&mut stream, "250-localhost\r\n250 STARTTLS").await?,
            "STARTTLS" => {
                say(&mut stream, "220 go ahead").await?;
                return Some(stream.into_inner());
            }
            _ => {
                desk.lock().unwrap().early.push(line);
                say(&mut stream, "530 5.7.0 must issue STARTTLS first").await?;
            }
        }
    }
}

/// Within TLS.
async fn secure<S: AsyncRead + AsyncWrite + Unpin>(stream: S, way: Way, desk: &Mutex<Desk>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    if way == Way::Wrapped {
        say(&mut stream, "220 localhost ready").await?;
    }
    let mut authenticated = false;
    let (mut from, mut to) = (String::new(), String::new());
    loop {
        let line = hear(&mut stream).await?;
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        let answer = match verb {
            "EHLO" => "250-localhost\r\n250-8BITMIME\r\n250 AUTH PLAIN",
            "AUTH" if line == LOGIN => {
                authenticated = true;
                "235 2.7.0 welcome"
            }
            "AUTH" => "535 5.7.8 who are you?",
            "QUIT" => {
                say(&mut stream, "221 bye").await?;
                return Some(());
            }
            _ if !authenticated => {
                desk.lock().unwrap().early.push(line);
                "530 5.7.0 authenticate first"
            }
            "MAIL" => {
                from = line;
                "250 2.1.0 ok"
            }
            "RCPT" => {
                to = line;
                "250 2.1.5 ok"
            }
            "DATA" => {
                say(&mut stream, "354 end with a dot").await?;
                let mut data = String::new();
                loop {
                    let line = hear(&mut stream).await?;
                    if line == "." {
                        break;
                    }
                    data.push_str(line.strip_prefix('.').unwrap_or(&line));
                    data.push('\n');
                }
                let mut desk = desk.lock().unwrap();
                match desk.refusals.pop_front() {
                    Some(refusal) => refusal,
                    None => {
                        desk.received.push(Received { from: from.clone(), to: to.clone(), data });
                        "250 2.0.0 taken"
                    }
                }
            }
            _ => "502 5.5.1 not here",
        };
        say(&mut stream, answer).await?;
    }
}
