use super::*;
use crate::probe::testing::{Authority, HERE, serve_http, serve_http3};
use rustls::version::{TLS12, TLS13};

fn get(server: SocketAddr, path: &str, authority: &Authority) -> Http {
    Http::get(&format!("https://edge.test{path}"), authority.trust()).at(server)
}

async fn try_http(probe: Http) -> Attempt<HttpAnswer> {
    probe.execute().await.unwrap()
}

#[tokio::test]
async fn every_version_is_spoken_alone_and_says_the_same() {
    let authority = Authority::new();
    let both = ["h2", "http/1.1"];
    let server = serve_http(Some(authority.server("edge.test", &[&TLS12, &TLS13], None, &both))).await;
    for version in [HttpVersion::H1, HttpVersion::H2] {
        let mut probe = get(server, "/a?b=c", &authority).over(version).header("x-said", "word");
        probe.method = "POST".to_owned();
        probe.body = Some("12345".to_owned());
        let answer = try_http(probe).await.unwrap();
        assert_eq!((answer.status, answer.version), (200, version));
        assert_eq!(answer.body, "POST /a edge.test word 5");
        assert_eq!(answer.header("x-served-by"), Some("test"));
        assert_eq!(answer.tls.unwrap().names, ["edge.test"]);
    }
    let server = serve_http3(authority.server("edge.test", &[&TLS13], None, &["h3"]));
    let answer = try_http(get(server, "/", &authority).over(HttpVersion::H3)).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str(), answer.version), (200, "third", HttpVersion::H3));
    assert_eq!(answer.tls.unwrap().alpn.as_deref(), Some("h3"));
}

#[tokio::test]
async fn a_server_without_a_version_refuses_it() {
    let authority = Authority::new();
    let server = serve_http(Some(authority.server("edge.test", &[&TLS13], None, &["http/1.1"]))).await;
    assert_eq!(
        try_http(get(server, "/", &authority).over(HttpVersion::H2)).await.unwrap_err().stage,
        Stage::Tls
    );
    let mut third = get(server, "/", &authority).over(HttpVersion::H3);
    third.timeout_ms = 400;
    assert_eq!(try_http(third).await.unwrap_err().stage, Stage::Connect);
}

#[tokio::test]
async fn the_client_certificate_decides_over_every_version() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let config = || authority.server("edge.test", &[&TLS13], Some(&clients), &["h2", "http/1.1", "h3"]);
    let (tcp, quic) = (serve_http(Some(config())).await, serve_http3(config()));
    for (server, version) in [(tcp, HttpVersion::H1), (tcp, HttpVersion::H2), (quic, HttpVersion::H3)] {
        let bare = try_http(get(server, "/", &authority).over(version)).await;
        assert!(bare.is_err(), "{version:?}: {bare:?}");
        let mut known = get(server, "/", &authority).over(version);
        known.client = Some(clients.client());
        assert_eq!(try_http(known).await.unwrap().status, 200, "{version:?}");
    }
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused_over_every_version() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let tcp = serve_http(Some(authority.server("edge.test", &[&TLS13], None, &["h2", "http/1.1"]))).await;
    let quic = serve_http3(authority.server("edge.test", &[&TLS13], None, &["h3"]));
    for (server, version) in [(tcp, HttpVersion::H1), (tcp, HttpVersion::H2), (quic, HttpVersion::H3)] {
        let refusal = try_http(get(server, "/", &stranger).over(version)).await.unwrap_err();
        assert_eq!(refusal.stage, Stage::Tls, "{version:?}: {refusal}");
    }
}

#[tokio::test]
async fn redirects_are_shown_and_long_bodies_cut() {
    let server = serve_http(None).await;
    let plain = |path: &str| Http::get(&format!("http://edge.test{path}"), Trust::Unchecked).at(server);
    let moved = try_http(plain("/moved")).await.unwrap();
    assert_eq!((moved.status, moved.header("location")), (308, Some("https://elsewhere.test/")));
    assert_eq!(moved.tls, None);
    let long = try_http(plain("/long")).await.unwrap();
    assert_eq!((long.body.len(), long.truncated), (BODY_KEPT, true));
}

#[tokio::test]
async fn no_server_and_no_such_url_are_two_things() {
    let listener = std::net::TcpListener::bind((HERE, 0)).unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let probe = Http::get("http://edge.test/", Trust::Unchecked).at(nobody);
    assert_eq!(try_http(probe).await.unwrap_err().stage, Stage::Connect);
    let error = Http::get("/relative", Trust::Unchecked).at(nobody).execute().await.unwrap_err();
    assert!(error.to_string().contains("names no host"), "{error}");
}
