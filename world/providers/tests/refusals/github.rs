use std::time::Duration;

use axum::http::Method;
use foundation::testing::program::Answer;
use login_providers::{Proof, Provider, Registration};
use serde_json::{Value, json};

use crate::scene::*;

const GITHUB: Provider = Provider::Github;
const AUTH: &str = "/login/oauth/authorize";
const TOKEN: &str = "/login/oauth/access_token";
const QUESTION: [(&str, &str); 6] = [
    ("client_id", CLIENT),
    ("redirect_uri", BACK),
    ("scope", "read:user user:email"),
    ("state", "st"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

async fn code(scene: &Scene, changes: &[(&'static str, &'static str)]) -> String {
    let answer = scene.get(GITHUB, AUTH, &with(&QUESTION, changes)).await;
    given(&answer, "code").unwrap()
}

fn redemption(code: &str) -> Pairs<'_> {
    vec![
        ("client_id", CLIENT),
        ("client_secret", SECRET),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ]
}

async fn api(scene: &Scene, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("user-agent", "test")];
    scene.send(GITHUB, Method::GET, path, &headers, "").await
}

async fn token(scene: &Scene, changes: &[(&'static str, &'static str)]) -> Value {
    let code = code(scene, changes).await;
    scene.post(GITHUB, TOKEN, &redemption(&code)).await.json()
}

#[tokio::test]
async fn the_api_tells_more_than_the_profile() {
    let scene = Scene::with_secret(GITHUB).await;
    let answer = token(&scene, &[]).await;
    assert_eq!(answer["scope"], "read:user,user:email");
    assert!(answer.get("refresh_token").is_none() && answer.get("id_token").is_none());
    let access = answer["access_token"].as_str().unwrap();
    let user = api(&scene, "/user", access).await.json();
    assert_eq!(user["id"].to_string(), scene.providers.account(GITHUB, "ada").subject);
    assert_eq!(user["email"], "ada@example.test");
    scene.providers.change(GITHUB, "ada", &json!({"hidden": true, "verified": false})).unwrap();
    assert_eq!(api(&scene, "/user", access).await.json()["email"], Value::Null);
    let emails = api(&scene, "/api/v3/user/emails", access).await.json();
    let primary = emails.as_array().unwrap().iter().find(|email| email["primary"] == true).unwrap().clone();
    assert_eq!(
        primary,
        json!({"email": "ada@example.test", "primary": true, "verified": false, "visibility": "private"})
    );
    // What the profile shows proves nothing.
    scene.providers.change(GITHUB, "ada", &json!({"public_email": "victim@example.test"})).unwrap();
    assert_eq!(api(&scene, "/user", access).await.json()["email"], "victim@example.test");
}

#[tokio::test]
async fn the_api_refuses_what_it_was_not_given() {
    let scene = Scene::with_secret(GITHUB).await;
    let narrow = token(&scene, &[("scope", "read:user")]).await;
    let access = narrow["access_token"].as_str().unwrap();
    assert_eq!(api(&scene, "/user/emails", access).await.status, 404);
    assert_eq!(api(&scene, "/user", "guessed").await.json()["message"], "Bad credentials");
    let bearer = format!("Bearer {access}");
    let without_agent = [("authorization", bearer.as_str())];
    assert_eq!(scene.send(GITHUB, Method::GET, "/user", &without_agent, "").await.status, 403);
}

#[tokio::test]
async fn errors_come_with_status_200() {
    let scene = Scene::with_secret(GITHUB).await;
    let proof = Proof::Secret("another".to_owned());
    scene.providers.register(GITHUB, Registration::new("another", BACK, proof));
    for (changes, error) in [
        (vec![("client_secret", "wrong")], "incorrect_client_credentials"),
        (vec![("client_id", "another"), ("client_secret", "another")], "bad_verification_code"),
        (vec![("code", "guessed")], "bad_verification_code"),
        (vec![("code_verifier", "wrong")], "bad_verification_code"),
        (vec![("code_verifier", "")], "bad_verification_code"),
        (vec![("redirect_uri", "https://id.example.test/other")], "redirect_uri_mismatch"),
        (vec![("grant_type", "refresh_token"), ("refresh_token", "guessed")], "bad_refresh_token"),
    ] {
        let code = code(&scene, &[]).await;
        let answer = scene.post(GITHUB, TOKEN, &with(&redemption(&code), &changes)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (200, &json!(error)), "{changes:?}");
    }
    let once = code(&scene, &[]).await;
    let form = scene.send(GITHUB, Method::POST, TOKEN, &[], "client_id=client&client_secret=x").await;
    assert!(form.text.starts_with("error=incorrect_client_credentials&"), "{}", form.text);
    assert!(scene.post(GITHUB, TOKEN, &redemption(&once)).await.json().get("access_token").is_some());
    assert_eq!(scene.post(GITHUB, TOKEN, &redemption(&once)).await.json()["error"], "bad_verification_code");
    let late = code(&scene, &[]).await;
    scene.providers.advance(Duration::from_secs(600));
    assert_eq!(scene.post(GITHUB, TOKEN, &redemption(&late)).await.json()["error"], "bad_verification_code");
    let unknown = scene.post(GITHUB, TOKEN, &with(&redemption(&once), &[("client_id", "nobody")])).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn whoever_is_to_be_sent_elsewhere_is_sent_to_where_the_client_is_registered() {
    let scene = Scene::with_secret(GITHUB).await;
    for elsewhere in [
        "https://evil.example/callback",
        "https://id.example.test/other",
        "https://id.example.test/callback-2",
    ] {
        let answer = scene.get(GITHUB, AUTH, &with(&QUESTION, &[("redirect_uri", elsewhere)])).await;
        assert!(answer.header("location").starts_with(&format!("{BACK}?")), "{elsewhere}");
        assert_eq!(given(&answer, "error").as_deref(), Some("redirect_uri_mismatch"));
    }
    let plain = scene.get(GITHUB, AUTH, &with(&QUESTION, &[("code_challenge_method", "plain")])).await;
    assert_eq!(given(&plain, "error").as_deref(), Some("invalid_request"));
    assert_eq!(scene.get(GITHUB, AUTH, &with(&QUESTION, &[("client_id", "nobody")])).await.status, 404);
    scene.providers.change(GITHUB, "ada", &json!({"refuses": true})).unwrap();
    let refused = scene.get(GITHUB, AUTH, &QUESTION).await;
    assert_eq!(given(&refused, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn tokens_of_an_app_end_and_each_refresh_token_is_for_one_use() {
    let scene = Scene::new().await;
    let proof = Proof::Secret(SECRET.to_owned());
    let registration = Registration { tokens_end: true, ..Registration::new(CLIENT, BACK, proof) };
    scene.providers.register(GITHUB, registration);
    scene.providers.awaits(GITHUB, Some("ada"));
    let answer = token(&scene, &[]).await;
    assert_eq!(answer["expires_in"], 28_800);
    let refresh = answer["refresh_token"].as_str().unwrap();
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
        ("refresh_token", refresh),
    ];
    assert_ne!(scene.post(GITHUB, TOKEN, &pairs).await.json()["refresh_token"], refresh);
    assert_eq!(scene.post(GITHUB, TOKEN, &pairs).await.json()["error"], "bad_refresh_token");
}
