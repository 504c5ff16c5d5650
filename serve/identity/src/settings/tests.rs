use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;

use super::*;

fn file(directory: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// PEM of a key for RSA, and of a certificate of it.
fn certified() -> (String, String) {
    let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let pem = STANDARD.encode(der.as_ref());
    let der = PrivateKeyDer::Pkcs8(der.as_ref().to_vec().into());
    let pair = rcgen::KeyPair::from_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
    (format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n"), certificate.pem())
}

#[test]
fn a_whole_file_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let secret = file(&directory, "secret", &format!("{}\n", "s".repeat(32)));
    let key = file(&directory, "key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let (rsa, certificate) = certified();
    let (rsa, certificate) = (file(&directory, "rsa", &rsa), file(&directory, "certificate", &certificate));
    let settings = Settings::parse(&format!(
        r#"
        linking = "ask"
        [[client]]
        id = "app"
        secret_file = "{secret}"
        redirect_uris = ["https://www.example.com/sign-in/callback"]
        back_channel_logout_uri = "https://www.example.com/sign-in/back-channel-logout"
        [[provider]]
        kind = "google"
        client_id = "g"
        secret_file = "{secret}"
        hosted_domain = "example.com"
        [[provider]]
        kind = "microsoft"
        client_id = "m"
        certificate_file = "{certificate}"
        key_file = "{rsa}"
        expires = 2027-06-30
        [[provider]]
        kind = "apple"
        client_id = "a"
        key_file = "{key}"
        key_id = "K"
        team_id = "T"
        "#
    ))
    .unwrap();
    assert_eq!(settings.linking, Linking::Ask);
    let client = settings.client("app").unwrap();
    assert!(client.requires_pkce && client.algorithm == Algorithm::ES256 && !client.may_exchange);
    let names: Vec<_> = settings.providers.iter().map(|provider| provider.label.as_str()).collect();
    assert_eq!(names, ["Google", "Microsoft", "Apple"]);
    assert_eq!(settings.providers[1].kind, Kind::Microsoft { tenant: "common".to_owned() });
    assert_eq!(settings.providers[1].expires.unwrap().to_string(), "2027-06-30");
    assert!(!format!("{settings:?}").contains("ssss"));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let problems = Settings::parse(
        r#"
        [[client]]
        id = "a b"
        redirect_uris = ["http://example.com/", "https://example.com/*", "https://example.com/#a"]
        scopes = ["openid", "admin"]
        [[provider]]
        kind = "apple"
        client_id = "a"
        secret_file = "/nowhere"
        [[provider]]
        kind = "oidc"
        name = "Other"
        client_id = "a"
        secret_file = "/nowhere"
        "#,
    )
    .unwrap_err();
    for part in
        ["its id", "http://example.com/", "*", "#a", "admin", "secret_file", "key_file", "its name", "`at`"]
    {
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:#?}");
    }
    assert!(Settings::parse("").unwrap_err()[0].contains("[[provider]]"));
    assert!(Settings::parse("surprise = 1").is_err());
}

#[test]
fn names_that_mean_something_else_are_no_providers() {
    let directory = tempfile::tempdir().unwrap();
    let secret = file(&directory, "secret", &"s".repeat(32));
    let of = |name: &str| {
        let text = format!(
            "[[provider]]\nkind = \"google\"\nname = {name:?}\nclient_id = \"g\"\nsecret_file = {secret:?}\n"
        );
        Settings::parse(&text).err().map(|problems| problems.join("\n"))
    };
    for name in ["recovery", "continue", "new"] {
        assert!(of(name).unwrap().contains("means something else here"), "{name}");
    }
    assert_eq!(of("recovery-2"), None);
}

#[test]
fn credentials_that_would_not_work_are_found_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let ((rsa, certificate), (other, _)) = (certified(), certified());
    let ec = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let of = |kind: &str, certificate: &str, key: &str| {
        let key = file(&directory, "key", key);
        let credential = match kind {
            "apple" => format!("key_file = {key:?}\nkey_id = \"K\"\nteam_id = \"T\""),
            _ => {
                let certificate = file(&directory, "certificate", certificate);
                format!("certificate_file = {certificate:?}\nkey_file = {key:?}")
            }
        };
        let text = format!("[[provider]]\nkind = {kind:?}\nclient_id = \"c\"\n{credential}\n");
        Settings::parse(&text).err().map(|problems| problems.join("\n"))
    };
    assert_eq!(of("microsoft", &certificate, &rsa), None);
    assert_eq!(of("apple", "", &ec), None);
    for (kind, certificate, key, problem) in [
        ("microsoft", certificate.as_str(), other.as_str(), "do not belong together"),
        ("microsoft", &certificate, &ec, "no RSA key"),
        ("microsoft", &rsa, &rsa, "no certificate"),
        ("microsoft", &certificate, "nothing", "no private key"),
        ("apple", "", &rsa, "no private key on P-256"),
        ("apple", "", "nothing", "no private key on P-256"),
    ] {
        let problems = of(kind, certificate, key).unwrap();
        assert!(problems.contains(problem) && problems.contains(kind), "{problems}");
        assert!(!problems.contains("BEGIN"), "{problems}");
    }
}
