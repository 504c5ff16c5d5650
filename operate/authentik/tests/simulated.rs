//! The program against a server that checks its requests as Authentik would: the token, required fields, names that are
//! taken, references to what exists.

#![allow(clippy::unwrap_used, reason = "a test that panics fails, which is what it is for")]

mod server;

use bastide_authentik::{Algorithm, Api, AppleKey, Client, Kind, Mode, Secrets, Source, Wanted, converge};
use serde_json::{Value, json};
use server::Server;
use std::path::Path;

fn wanted(directory: &Path, url: &str) -> (Wanted, Secrets) {
    let file = |name: &str, content: &str| {
        let path = directory.join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let source = |kind, client_id: &str, secret: &str, scopes: &[&str]| Source {
        kind,
        client_id: client_id.to_owned(),
        secret_file: file(kind.slug(), secret),
        apple: None,
        tenant: None,
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        joins_by_address: true,
    };
    let apple = AppleKey { key_id: "KEY".to_owned(), team_id: "TEAM".to_owned() };
    let wanted = Wanted {
        url: url.to_owned(),
        token_file: file("token", "the token\n"),
        certificate_file: file("tls.pem", "a certificate"),
        key_file: file("tls.key", "a key"),
        clients: vec![Client {
            id: "app".to_owned(),
            name: "shop.example".to_owned(),
            secret_file: file("app", "the app's secret\n"),
            redirect_uris: vec!["https://shop.example/sign-in/callback".to_owned()],
            post_logout_redirect_uris: vec!["https://shop.example/".to_owned()],
            back_channel_logout_uri: Some("https://shop.example/sign-in/back-channel-logout".to_owned()),
            algorithm: Algorithm::ES256,
            scopes: ["openid", "email", "profile"].map(str::to_owned).into(),
        }],
        sources: vec![
            source(Kind::Google, "g", "google's secret\n", &["openid", "email", "profile"]),
            source(Kind::Github, "h", "github's secret\n", &["read:user", "user:email"]),
            Source {
                tenant: Some("organizations".to_owned()),
                ..source(Kind::Microsoft, "m", "microsoft's secret\n", &["openid", "email"])
            },
            Source {
                apple: Some(apple),
                ..source(Kind::Apple, "example.shop", "-----BEGIN PRIVATE KEY-----\nk\n", &["name", "email"])
            },
        ],
    };
    let path = directory.join("wanted.json");
    std::fs::write(&path, serde_json::to_string(&wanted).unwrap()).unwrap();
    Wanted::read(&path).unwrap()
}

#[tokio::test]
async fn everything_is_made_once_and_then_nothing_differs() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let (wanted, secrets) = wanted(directory.path(), &server.url);
    let api = Api::new(&wanted, &secrets).unwrap();

    let planned = converge(&api, &wanted, &secrets, Mode::Check).await.unwrap();
    assert!(planned.iter().any(|change| change == "create source apple"), "{planned:?}");
    assert!(server.writes().is_empty(), "looking changes nothing: {:?}", server.writes());

    let made = converge(&api, &wanted, &secrets, Mode::Apply { anew: false }).await.unwrap();
    assert!(made.len() >= planned.len(), "{made:?}");
    let again = converge(&api, &wanted, &secrets, Mode::Apply { anew: false }).await.unwrap();
    assert_eq!(again, Vec::<String>::new());
}

#[tokio::test]
async fn clients_and_sources_are_as_they_have_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let (wanted, secrets) = wanted(directory.path(), &server.url);
    let api = Api::new(&wanted, &secrets).unwrap();
    converge(&api, &wanted, &secrets, Mode::Apply { anew: false }).await.unwrap();

    let app = server.object("providers/oauth2", "client_id", "app");
    assert_eq!(
        app["redirect_uris"],
        json!([
            {"matching_mode": "strict", "url": "https://shop.example/sign-in/callback", "redirect_uri_type": "authorization"},
            {"matching_mode": "strict", "url": "https://shop.example/", "redirect_uri_type": "logout"},
        ])
    );
    for (field, value) in [
        ("client_secret", json!("the app's secret")),
        ("client_type", json!("confidential")),
        ("grant_types", json!(["authorization_code"])),
        ("refresh_token_threshold", json!("seconds=0")),
        ("logout_method", json!("backchannel")),
        ("issuer_mode", json!("per_provider")),
    ] {
        assert_eq!(app[field], value, "{field}");
    }
    let key = server.object("crypto/certificatekeypairs", "pk", app["signing_key"].as_str().unwrap());
    assert_eq!(key["alg"], json!("ecdsa"), "signed with what the platform's check asks for");

    let source = |slug: &str| server.object("sources/oauth", "slug", slug);
    let types = Kind::ALL.map(|kind| source(kind.slug())["provider_type"].clone());
    assert_eq!(types, ["google", "github", "entraid", "apple"].map(Value::from));
    assert_eq!(source("apple")["consumer_key"], json!("example.shop;TEAM;KEY"));
    assert_eq!(source("apple")["consumer_secret"], json!("-----BEGIN PRIVATE KEY-----\nk\n"));
    assert!(source("microsoft")["authorization_url"].as_str().unwrap().contains("/organizations/"));
    // Whoever owns an address that nobody vouches for joins nobody's account, also where the file asks for it.
    let matching = Kind::ALL.map(|kind| source(kind.slug())["user_matching_mode"].clone());
    assert_eq!(matching, ["email_link", "identifier", "identifier", "email_link"].map(Value::from));
    let stage = server.object("stages/identification", "name", "default-authentication-identification");
    assert_eq!(stage["sources"].as_array().unwrap().len(), 4);
    assert_eq!(stage["user_fields"], json!([]), "no password of Authentik's own is asked for");
}

#[tokio::test]
async fn what_somebody_changed_is_found_and_put_back_and_what_is_named_no_more_is_turned_off() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let (mut wanted, secrets) = wanted(directory.path(), &server.url);
    let api = Api::new(&wanted, &secrets).unwrap();
    converge(&api, &wanted, &secrets, Mode::Apply { anew: false }).await.unwrap();

    server.change("sources/oauth", "slug", "microsoft", "user_matching_mode", json!("email_link"));
    let evil = json!([{"matching_mode": "regex", "url": ".*", "redirect_uri_type": "authorization"}]);
    server.change("providers/oauth2", "client_id", "app", "redirect_uris", evil);
    let found = converge(&api, &wanted, &secrets, Mode::Check).await.unwrap();
    assert_eq!(found, ["client app: redirect_uris", "source microsoft: user_matching_mode"]);
    converge(&api, &wanted, &secrets, Mode::Apply { anew: false }).await.unwrap();
    assert_eq!(converge(&api, &wanted, &secrets, Mode::Check).await.unwrap(), Vec::<String>::new());

    // Of secrets Authentik does not tell what it has: they are written again where they may have changed.
    server.change("sources/oauth", "slug", "github", "consumer_secret", json!("another"));
    assert_eq!(converge(&api, &wanted, &secrets, Mode::Check).await.unwrap(), Vec::<String>::new());
    converge(&api, &wanted, &secrets, Mode::Apply { anew: true }).await.unwrap();
    assert_eq!(server.object("sources/oauth", "slug", "github")["consumer_secret"], json!("github's secret"));

    wanted.sources.retain(|source| source.kind != Kind::Github);
    let turned_off = converge(&api, &wanted, &secrets, Mode::Apply { anew: false }).await.unwrap();
    assert_eq!(turned_off, ["source github: enabled", "the sign-in page: sources"]);
    assert_eq!(server.object("sources/oauth", "slug", "github")["enabled"], json!(false));
}

#[tokio::test]
async fn a_refusal_says_what_was_attempted_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let (wanted, secrets) = wanted(directory.path(), &server.url);
    std::fs::write(directory.path().join("token"), "another token\n").unwrap();
    let (other, other_secrets) = Wanted::read(&directory.path().join("wanted.json")).unwrap();
    assert_ne!(wanted.digest(&secrets), other.digest(&other_secrets), "a new secret is something new");
    let api = Api::new(&other, &other_secrets).unwrap();
    let error = converge(&api, &other, &other_secrets, Mode::Check).await.unwrap_err().to_string();
    assert!(error.contains("answered 403") && !error.contains("another token"), "{error}");
    assert!(!format!("{other_secrets:?}{api:?}").contains("token\""));
}

#[test]
fn what_the_platform_writes_is_understood() {
    let rendered =
        include_str!("../../components/tests/rendered/authentik/identity_etc_bastide_authentik_wanted.json");
    let wanted: Wanted = serde_json::from_str(rendered).unwrap();
    let kinds: Vec<Kind> = wanted.sources.iter().map(|source| source.kind).collect();
    assert_eq!(kinds, [Kind::Google, Kind::Microsoft, Kind::Apple]);
    assert_eq!(wanted.clients.len(), 2);
    assert!(wanted.sources.iter().all(|source| !source.joins_by_address), "the file asks to ask");
    assert!(wanted.sources[2].apple.is_some());
}
