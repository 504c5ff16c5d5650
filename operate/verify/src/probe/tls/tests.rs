use super::*;
use crate::probe::testing::{Authority, HERE, serve_bytes, serve_tls};
use rustls::version::{TLS12, TLS13};

async fn try_tls(probe: Tls) -> Attempt<TlsSession> {
    probe.execute().await.unwrap()
}

fn to(server: SocketAddr, name: &str, trust: Trust) -> Tls {
    Tls::new(server.ip(), server.port(), name, trust)
}

fn refused(attempt: &Attempt<TlsSession>, stage: Stage) -> &str {
    let refusal = attempt.as_ref().unwrap_err();
    assert_eq!(refusal.stage, stage, "{refusal}");
    &refusal.reason
}

#[tokio::test]
async fn a_session_is_described_by_what_was_agreed_on() {
    let authority = Authority::new();
    let server = serve_tls(authority.server("db.test", &[&TLS12, &TLS13], None, &["h2"])).await;
    let mut probe = to(server, "db.test", authority.trust());
    probe.alpn = vec!["h2".to_owned(), "http/1.1".to_owned()];
    let session = try_tls(probe).await.unwrap();
    assert_eq!((session.version, session.alpn.as_deref()), (TlsVersion::V1_3, Some("h2")));
    assert_eq!((session.names.as_slice(), session.chain_length), (&["db.test".to_owned()][..], 1));
    assert_eq!(session.issuer, "CN=test authority");
    assert!(session.not_before < session.not_after);
    assert!(session.cipher.contains("TLS13_"), "{}", session.cipher);
}

#[tokio::test]
async fn a_certificate_must_be_of_the_trusted_authority_and_for_the_name() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = serve_tls(ours.server("db.test", &[&TLS13], None, &[])).await;
    let stranger = try_tls(to(server, "db.test", theirs.trust())).await;
    assert!(refused(&stranger, Stage::Tls).contains("UnknownIssuer") || stranger.is_err());
    let elsewhere = try_tls(to(server, "cache.test", ours.trust())).await;
    assert!(refused(&elsewhere, Stage::Tls).contains("cache.test"), "{elsewhere:?}");
    let public = try_tls(to(server, "db.test", Trust::Public)).await;
    refused(&public, Stage::Tls);
    assert!(try_tls(to(server, "cache.test", Trust::Unchecked)).await.is_ok());
}

#[tokio::test]
async fn a_refusal_after_the_handshake_is_a_refusal() {
    let (authority, clients) = (Authority::new(), Authority::new());
    for version in [&TLS12, &TLS13] {
        let server = serve_tls(authority.server("edge.test", &[version], Some(&clients), &[])).await;
        let bare = try_tls(to(server, "edge.test", authority.trust())).await;
        let reason = refused(&bare, Stage::Tls);
        assert!(
            reason.contains("CertificateRequired")
                || reason.contains("HandshakeFailure")
                || reason.contains("alert"),
            "{reason}"
        );
        let mut stranger = to(server, "edge.test", authority.trust());
        stranger.client = Some(Authority::new().client());
        refused(&try_tls(stranger).await, Stage::Tls);
        let mut known = to(server, "edge.test", authority.trust());
        known.client = Some(clients.client());
        try_tls(known).await.unwrap();
    }
}

#[tokio::test]
async fn one_version_alone_can_be_offered() {
    let authority = Authority::new();
    let server = serve_tls(authority.server("edge.test", &[&TLS13], None, &[])).await;
    let mut probe = to(server, "edge.test", authority.trust());
    probe.only = Some(TlsVersion::V1_2);
    refused(&try_tls(probe.clone()).await, Stage::Tls);
    probe.only = Some(TlsVersion::V1_3);
    assert_eq!(try_tls(probe).await.unwrap().version, TlsVersion::V1_3);
}

#[tokio::test]
async fn old_versions_are_refused_by_a_modern_server_and_seen_at_an_old_one() {
    let authority = Authority::new();
    let modern = serve_tls(authority.server("edge.test", &[&TLS12, &TLS13], None, &[])).await;
    // ServerHello of TLS 1.0 with ECDHE-RSA-AES128-CBC-SHA, as an old server sends it.
    let hello = [&[22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1][..], &[7; 32], &[0, 0xc0, 0x13, 0]].concat();
    let old = serve_bytes(hello).await;
    for version in [TlsVersion::V1_0, TlsVersion::V1_1] {
        let mut probe = to(modern, "edge.test", Trust::Unchecked);
        probe.only = Some(version);
        let attempt = try_tls(probe).await;
        assert!(refused(&attempt, Stage::Tls).contains("protocol_version"), "{attempt:?}");
    }
    let mut probe = to(old, "edge.test", Trust::Unchecked);
    probe.only = Some(TlsVersion::V1_0);
    let session = try_tls(probe).await.unwrap();
    assert_eq!((session.version, session.cipher.as_str()), (TlsVersion::V1_0, "0xc013"));
}

#[tokio::test]
async fn postgres_is_asked_for_tls_first() {
    let server = serve_bytes(b"N".to_vec()).await;
    let mut probe = to(server, "db.test", Trust::Unchecked);
    probe.start = TlsStart::Postgres;
    let attempt = try_tls(probe).await;
    assert_eq!(refused(&attempt, Stage::Tls), "the server does not offer TLS");
}

#[tokio::test]
async fn a_closed_port_a_mute_server_and_a_bad_pem_are_three_things() {
    let listener = std::net::TcpListener::bind((HERE, 0)).unwrap();
    let mut mute = to(listener.local_addr().unwrap(), "db.test", Trust::Unchecked);
    mute.timeout_ms = 200;
    refused(&try_tls(mute.clone()).await, Stage::Tls);
    drop(listener);
    refused(&try_tls(mute.clone()).await, Stage::Connect);
    let authority = Authority::new();
    let server = serve_tls(authority.server("db.test", &[&TLS13], None, &[])).await;
    let error = to(server, "db.test", Trust::Authorities("nothing".to_owned())).execute().await.unwrap_err();
    assert!(error.to_string().contains("holds none"), "{error}");
}
