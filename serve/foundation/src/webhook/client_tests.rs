//! Against real sockets on the loopback, which the test allows, or does not.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Answers each question with the next list; the last one repeats.
struct Names(Vec<Vec<&'static str>>, AtomicUsize);

impl Resolve for Names {
    fn resolve<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let asked = self.1.fetch_add(1, Ordering::Relaxed);
        let answer = &self.0[asked.min(self.0.len() - 1)];
        Box::pin(async move { Ok(answer.iter().map(|address| address.parse().unwrap()).collect()) })
    }
}

fn client(answers: Vec<Vec<&'static str>>, allowed: &[&str], extra: &[CertificateDer<'static>]) -> Client {
    let limits = Limits {
        allowed: Allowed::also(allowed.iter().map(|network| network.parse().unwrap()).collect()),
        plain: true,
        connect: Duration::from_secs(2),
        total: Duration::from_secs(3),
    };
    Client::new(Arc::new(Names(answers, AtomicUsize::new(0))), extra, limits).unwrap()
}

/// Accepts connections, counts them, reads a head and answers; `forever` repeats the answer until the peer is gone.
async fn server(answer: &'static [u8], forever: bool) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                while stream.write_all(answer).await.is_ok() && forever {
                    tokio::task::yield_now().await;
                }
            });
        }
    });
    (port, seen)
}

async fn post(client: &Client, url: &str) -> Result<Answer, SendError> {
    client.post(&url.parse().unwrap(), &[], Bytes::from_static(b"{}")).await
}

#[tokio::test]
async fn delivers_over_tls_to_the_name_and_to_no_other() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["hooks.example".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok\x07!").await;
            let _ = stream.shutdown().await;
        }
    });
    let extra = [cert.der().clone()];
    let trusting = client(vec![vec!["127.0.0.1"]], &["127.0.0.1/32"], &extra);
    let answer = post(&trusting, &format!("https://hooks.example:{port}/in?a=1")).await.unwrap();
    assert_eq!((answer.status, answer.excerpt.as_str()), (200, "ok !"));
    let other_name = post(&trusting, &format!("https://other.example:{port}/")).await;
    assert!(matches!(other_name, Err(SendError::Connect(_))), "{other_name:?}");
    let distrusting = client(vec![vec!["127.0.0.1"]], &["127.0.0.1/32"], &[]);
    let unknown = post(&distrusting, &format!("https://hooks.example:{port}/")).await;
    assert!(matches!(unknown, Err(SendError::Connect(_))), "{unknown:?}");
}

#[tokio::test]
async fn refuses_what_is_not_public_before_a_connection() {
    let (port, seen) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false).await;
    let one_bad = client(vec![vec!["8.8.8.8", "127.0.0.1"]], &[], &[]);
    for url in ["name.example", "127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"] {
        assert_eq!(
            post(&one_bad, &format!("http://{url}:{port}/")).await,
            Err(SendError::NotPublic),
            "{url}"
        );
    }
    let strict = Client { limits: Limits { plain: false, ..one_bad.limits.clone() }, ..one_bad };
    assert!(matches!(post(&strict, "http://name.example/").await, Err(SendError::BadUrl(_))));
    assert!(matches!(post(&strict, "https://user@name.example/").await, Err(SendError::BadUrl(_))));
    assert_eq!(seen.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (inner, reached) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false).await;
    let answer =
        format!("HTTP/1.1 307 Gone\r\nLocation: http://127.0.0.1:{inner}/\r\nContent-Length: 0\r\n\r\n");
    let (port, _) = server(answer.leak().as_bytes(), false).await;
    let client = client(vec![vec!["127.0.0.1"]], &["127.0.0.1/32"], &[]);
    assert_eq!(post(&client, &format!("http://name.example:{port}/")).await.unwrap().status, 307);
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_name_that_changes_is_asked_once_and_vetted_each_time() {
    let (port, seen) = server(b"HTTP/1.1 204 No Content\r\n\r\n", false).await;
    let client = client(vec![vec!["127.0.0.1"], vec!["127.0.0.2"]], &["127.0.0.1/32"], &[]);
    let url = format!("http://name.example:{port}/");
    assert_eq!(post(&client, &url).await.unwrap().status, 204);
    assert_eq!(post(&client, &url).await, Err(SendError::NotPublic));
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn slow_and_endless_answers_are_bounded() {
    let client = client(vec![vec!["127.0.0.1"]], &["127.0.0.1/32"], &[]);
    let (silent, _) = server(b"", false).await;
    let (endless_head, _) = server(b"HTTP/1.1 200 OK\r\n", true).await;
    let (endless_body, _) = server(b"HTTP/1.1 200 OK\r\n\r\nxxxxxxxxxxxxxxxx", true).await;
    let url = |port| format!("http://name.example:{port}/");
    assert!(matches!(post(&client, &url(silent)).await, Err(SendError::Broken(_))));
    assert!(matches!(post(&client, &url(endless_head)).await, Err(SendError::Broken(_))));
    let answer = post(&client, &url(endless_body)).await.unwrap();
    assert_eq!(answer.excerpt.chars().count(), EXCERPT);
    // Accepts and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(post(&client, &url(mute.local_addr().unwrap().port())).await, Err(SendError::Late));
}
