//! The program of the lab: names, certificates and its control.

use std::time::Duration;

use axum::http::Method;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn ask(port: u16, method: Method, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: control\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lab_starts_them_at_their_names_and_tells_them_what_to_do() {
    let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let names = ["accounts.google.com", "api.github.com", "login.example.test"];
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(names.map(ToOwned::to_owned).to_vec()).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    std::fs::write(path("ca.pem"), authority.pem()).unwrap();
    std::fs::write(path("world.pem"), certificate.pem()).unwrap();
    std::fs::write(path("world.key"), key.serialize_pem()).unwrap();
    std::fs::write(path("secret"), "secret\n").unwrap();
    let (port, control) = (free_port(), free_port());
    let file = format!(
        "listen = [\"127.0.0.1:{port}\"]\ncontrol = \"127.0.0.1:{control}\"\nauthority_file = \"{}\"\n\
         [[certificate]]\nnames = [\"accounts.google.com\", \"api.github.com\", \"login.example.test\"]\ncertificate_file = \"{}\"\n\
         key_file = \"{}\"\n[[client]]\nprovider = \"google\"\nclient_id = \"client\"\n\
         redirect_uris = [\"https://id.example.test/callback\"]\nsecret_file = \"{}\"\n\
         [at]\nmicrosoft = \"https://login.example.test\"\n",
        path("ca.pem"),
        path("world.pem"),
        path("world.key"),
        path("secret")
    );
    std::fs::write(path("world.toml"), file).unwrap();
    let config = login_providers::Config::read(&directory.path().join("world.toml")).unwrap();
    let server = tokio::spawn(login_providers::serve(config, std::future::pending()));
    let started = tokio::time::Instant::now();
    while TcpStream::connect(("127.0.0.1", control)).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(20) && !server.is_finished());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let (status, account) = ask(control, Method::GET, "/people/google/ada", "").await;
    assert_eq!((status, &account["email"]), (200, &json!("ada@gmail.com")));
    let change = r#"{"tenant": "example.test", "verified": false}"#;
    let (_, account) = ask(control, Method::PATCH, "/people/google/ada", change).await;
    assert_eq!((&account["tenant"], &account["verified"]), (&json!("example.test"), &json!(false)));
    assert_eq!(ask(control, Method::PATCH, "/people/google/ada", r#"{"x": 1}"#).await.0, 422);
    for (method, path, body) in [
        (Method::PUT, "/providers/google/awaited", r#"{"person": "ada"}"#),
        (Method::PUT, "/providers/google/fault", r#"{"kind": "slow", "milliseconds": 1}"#),
        (Method::PUT, "/providers/google/fault", "null"),
        (Method::PUT, "/clock", r#"{"ahead_seconds": 60}"#),
    ] {
        assert_eq!(ask(control, method, path, body).await.0, 204, "{path} {body}");
    }

    // Each is at its own names, and nobody at another's.
    let get = async |name: &'static str, path: &str| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls));
        let mut stream = connector.connect(name.try_into().unwrap(), stream).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        Some(answer)
    };
    let described = get("accounts.google.com", "/.well-known/openid-configuration").await.unwrap();
    assert!(described.contains("\"token_endpoint\":\"https://oauth2.googleapis.com/token\""), "{described}");
    assert!(get("api.github.com", "/rate_limit").await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(get("api.github.com", "/token").await.unwrap().starts_with("HTTP/1.1 404"));
    assert_eq!(get("appleid.apple.com", "/auth/keys").await, None, "there is no certificate for it");
    let (_, requests) = ask(control, Method::GET, "/providers/github/requests", "").await;
    assert_eq!(requests["/rate_limit"], 1);
    let (_, log) = ask(control, Method::GET, "/providers/github/log", "").await;
    assert_eq!(log[0], json!({"peer": "127.0.0.1", "method": "GET", "path": "/rate_limit"}));
    // One may be somewhere else than where the world knows it.
    let described = get("login.example.test", "/common/v2.0/.well-known/openid-configuration").await.unwrap();
    let token = "\"token_endpoint\":\"https://login.example.test/common/oauth2/v2.0/token\"";
    assert!(described.contains(token), "{described}");
    server.abort();
}
