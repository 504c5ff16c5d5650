//! Against real TLS sockets on the loopback.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Knows one name.
struct OneName;

impl Resolve for OneName {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let known = name == "service.example" || name == "other.example";
        Box::pin(async move { if known { Ok(vec![IpAddr::from([127, 0, 0, 1])]) } else { Ok(vec![]) } })
    }
}

/// A service behind TLS that gives every request on a connection the same answer.
struct Service {
    port: u16,
    authority: CertificateDer<'static>,
    connections: Arc<AtomicUsize>,
    requests: tokio::sync::mpsc::UnboundedReceiver<String>,
}

/// `forever` repeats the answer until the peer is gone.
async fn service(answer: &'static [u8], forever: bool) -> Service {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["service.example".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let (seen, requests) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let (acceptor, seen) = (acceptor.clone(), seen.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = vec![0; 16 * 1024];
                while let Ok(length @ 1..) = stream.read(&mut request).await {
                    let _ = seen.send(String::from_utf8_lossy(&request[..length]).into_owned());
                    while stream.write_all(answer).await.is_ok() && forever {
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
    });
    Service { port, authority: cert.der().clone(), connections, requests }
}

fn client(trusted: &[CertificateDer<'static>]) -> HttpClient {
    let limits = Limits { connect: Duration::from_secs(2), total: Duration::from_secs(3), answer: 64 * 1024 };
    HttpClient::new(Arc::new(OneName), trusted, limits).unwrap()
}

fn url(host: &str, port: u16, rest: &str) -> Url {
    format!("https://{host}:{port}{rest}").parse().unwrap()
}

#[tokio::test]
async fn asks_and_posts_over_one_connection_to_the_name_that_the_certificate_has() {
    let mut service =
        service(b"HTTP/1.1 200 OK\r\nX-Kept: yes\r\nContent-Length: 9\r\n\r\n{\"a\": 12}", false).await;
    let client = client(std::slice::from_ref(&service.authority));
    let answer = client.get(&url("service.example", service.port, "/keys?all=1")).await.unwrap();
    assert_eq!(answer.json::<serde_json::Value>().unwrap(), serde_json::json!({"a": 12}));
    assert_eq!((answer.status, answer.headers["x-kept"].to_str().unwrap()), (StatusCode::OK, "yes"));
    let seen = service.requests.recv().await.unwrap();
    assert!(seen.starts_with("GET /keys?all=1 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("host: service.example:{}\r\n", service.port)), "{seen}");

    let headers =
        HeaderMap::from_iter([(hyper::header::AUTHORIZATION, HeaderValue::from_static("Basic eA=="))]);
    let fields = [("code", "a b&c"), ("ü", "=")];
    client.post_form(&url("service.example", service.port, "/token"), headers, &fields).await.unwrap();
    let seen = service.requests.recv().await.unwrap();
    assert!(seen.contains("authorization: Basic eA==\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\ncode=a+b%26c&%C3%BC=%3D"), "{seen}");
    assert_eq!(service.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn another_name_an_unknown_authority_and_no_address_are_no_connection() {
    let service = service(b"HTTP/1.1 204 No Content\r\n\r\n", false).await;
    let trusting = client(std::slice::from_ref(&service.authority));
    let failed =
        async |client: &HttpClient, host| client.get(&url(host, service.port, "/")).await.unwrap_err();
    assert!(matches!(failed(&trusting, "other.example").await, HttpError::Connect(_)));
    assert!(matches!(failed(&client(&[]), "service.example").await, HttpError::Connect(_)));
    let unknown = failed(&trusting, "unknown.example").await;
    assert_eq!(unknown, HttpError::Connect("the name has no address".to_owned()));
    for bad in ["http://service.example/", "https://user:secret@service.example/"] {
        let refused = trusting.get(&bad.parse().unwrap()).await.unwrap_err();
        assert!(matches!(refused, HttpError::BadUrl(_)), "{bad}: {refused}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let service = service(
        b"HTTP/1.1 302 Found\r\nLocation: https://other.example/\r\nContent-Length: 0\r\n\r\n",
        false,
    )
    .await;
    let client = client(std::slice::from_ref(&service.authority));
    let answer = client.get(&url("service.example", service.port, "/")).await.unwrap();
    assert_eq!((answer.status, service.connections.load(Ordering::Relaxed)), (StatusCode::FOUND, 1));
}

#[tokio::test]
async fn long_endless_and_missing_answers_are_bounded() {
    let declared = service(b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n", true).await;
    let endless = service(b"HTTP/1.1 200 OK\r\n\r\nxxxxxxxxxxxxxxxx", true).await;
    let head = service(b"HTTP/1.1 200 OK\r\nX: ", true).await;
    let mute = service(b"", false).await;
    let ask = async |service: &Service| {
        let client = client(std::slice::from_ref(&service.authority));
        client.get(&url("service.example", service.port, "/")).await.unwrap_err()
    };
    assert_eq!(ask(&declared).await, HttpError::TooLong(64 * 1024));
    assert_eq!(ask(&endless).await, HttpError::TooLong(64 * 1024));
    assert!(matches!(ask(&head).await, HttpError::Broken(_)));
    assert_eq!(ask(&mute).await, HttpError::Late(Duration::from_secs(3)));
}
