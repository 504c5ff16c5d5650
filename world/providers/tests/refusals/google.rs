use std::time::Duration;

use axum::http::Method;
use login_providers::{Fault, Proof, Provider, Registration};
use serde_json::json;

use crate::scene::*;

const GOOGLE: Provider = Provider::Google;
const AUTH: &str = "/o/oauth2/v2/auth";
const QUESTION: [(&str, &str); 8] = [
    ("response_type", "code"),
    ("client_id", CLIENT),
    ("redirect_uri", BACK),
    ("scope", "openid email profile"),
    ("state", "st"),
    ("nonce", "no"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

async fn code(scene: &Scene, changes: &[(&'static str, &'static str)]) -> String {
    let answer = scene.get(GOOGLE, AUTH, &with(&QUESTION, changes)).await;
    assert_eq!(given(&answer, "state").as_deref(), Some("st"));
    given(&answer, "code").unwrap()
}

fn redemption(code: &str) -> Pairs<'_> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ]
}

#[tokio::test]
async fn somebody_signs_in_and_is_described() {
    let scene = Scene::with_secret(GOOGLE).await;
    let code = code(&scene, &[]).await;
    let answer = scene.post(GOOGLE, "/token", &redemption(&code)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert!(answer.get("refresh_token").is_none());
    let said = claims(answer["id_token"].as_str().unwrap());
    assert_eq!((&said["email"], &said["email_verified"]), (&json!("ada@gmail.com"), &json!(true)));
    assert_eq!((&said["nonce"], &said["aud"]), (&json!("no"), &json!(CLIENT)));
    assert_eq!(said["iss"], json!(scene.providers.origin(GOOGLE)));
    let bearer = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let info = scene.send(GOOGLE, Method::GET, "/v1/userinfo", &headers, "").await;
    assert_eq!(info.json()["sub"], said["sub"]);
    let info = scene.send(GOOGLE, Method::GET, "/v1/userinfo", &[], "").await;
    assert_eq!(info.status, 401);
}

#[tokio::test]
async fn questions_that_are_not_in_order_lead_nowhere() {
    let scene = Scene::with_secret(GOOGLE).await;
    for (name, value, status, said) in [
        ("client_id", "other", 401, "invalid_client"),
        ("redirect_uri", "https://id.example.test/callback/", 400, "redirect_uri_mismatch"),
        ("redirect_uri", "https://id.example.test/callback?x=1", 400, "redirect_uri_mismatch"),
        ("redirect_uri", "https://evil.example/callback", 400, "redirect_uri_mismatch"),
        ("scope", "openid admin", 400, "invalid_scope"),
        ("scope", "", 400, "invalid_scope"),
        ("response_type", "token", 400, "invalid_request"),
        ("code_challenge_method", "plain", 400, "invalid_request"),
        ("code_challenge", "short", 400, "invalid_request"),
    ] {
        let answer = scene.get(GOOGLE, AUTH, &with(&QUESTION, &[(name, value)])).await;
        assert_eq!(answer.status, status, "{name}={value}");
        assert!(answer.text.contains(said) && answer.header("location").is_empty(), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_code_is_for_its_client_once_for_ten_minutes_and_with_its_verifier() {
    let scene = Scene::with_secret(GOOGLE).await;
    let proof = Proof::Secret("another".to_owned());
    scene.providers.register(GOOGLE, Registration::new("another", BACK, proof));
    for (changes, status, error) in [
        (vec![("client_secret", "wrong")], 401, "invalid_client"),
        (vec![("client_secret", "")], 401, "invalid_client"),
        (vec![("client_id", "nobody")], 401, "invalid_client"),
        (vec![("client_id", "another"), ("client_secret", "another")], 400, "invalid_grant"),
        (vec![("redirect_uri", "https://id.example.test/other")], 400, "redirect_uri_mismatch"),
        (vec![("code_verifier", "wrong")], 400, "invalid_grant"),
        (vec![("code_verifier", "")], 400, "invalid_grant"),
        (vec![("code", "guessed")], 400, "invalid_grant"),
        (vec![("grant_type", "password")], 400, "unsupported_grant_type"),
    ] {
        let code = code(&scene, &[]).await;
        let answer = scene.post(GOOGLE, "/token", &with(&redemption(&code), &changes)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (status, &json!(error)), "{changes:?}");
    }
    let once = code(&scene, &[]).await;
    assert_eq!(scene.post(GOOGLE, "/token", &redemption(&once)).await.status, 200);
    assert_eq!(scene.post(GOOGLE, "/token", &redemption(&once)).await.json()["error"], "invalid_grant");
    let late = code(&scene, &[]).await;
    scene.providers.advance(Duration::from_secs(600));
    assert_eq!(scene.post(GOOGLE, "/token", &redemption(&late)).await.json()["error"], "invalid_grant");
    // A code that was asked for without a challenge is not redeemed with a verifier.
    let plain = code(&scene, &[("code_challenge", ""), ("code_challenge_method", "")]).await;
    assert_eq!(scene.post(GOOGLE, "/token", &redemption(&plain)).await.status, 400);
}

#[tokio::test]
async fn offline_access_is_given_once_and_ends_with_the_consent() {
    let scene = Scene::with_secret(GOOGLE).await;
    let offline = [("access_type", "offline")];
    let first = code(&scene, &offline).await;
    let first = scene.post(GOOGLE, "/token", &redemption(&first)).await.json();
    let token = first["refresh_token"].as_str().unwrap().to_owned();
    let second = code(&scene, &offline).await;
    let second = scene.post(GOOGLE, "/token", &redemption(&second)).await.json();
    assert!(second.get("refresh_token").is_none());
    let again = code(&scene, &[("access_type", "offline"), ("prompt", "consent")]).await;
    assert!(scene.post(GOOGLE, "/token", &redemption(&again)).await.json().get("refresh_token").is_some());
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
        ("refresh_token", &token),
    ];
    let refreshed = scene.post(GOOGLE, "/token", &pairs).await.json();
    assert!(refreshed["access_token"].is_string() && refreshed.get("refresh_token").is_none());
    scene.providers.forgets(GOOGLE, "ada");
    assert_eq!(scene.post(GOOGLE, "/token", &pairs).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn somebody_is_asked_and_may_refuse() {
    let scene = Scene::with_secret(GOOGLE).await;
    scene.providers.awaits(GOOGLE, None);
    let page = scene.get(GOOGLE, AUTH, &QUESTION).await;
    assert!(page.text.contains("id=\"username\"") && page.text.contains("id=\"submit\""), "{}", page.text);
    assert_eq!(field(&page, "nonce").as_deref(), Some("no"));
    let said = async |pairs: &[(&'static str, &'static str)]| {
        scene.post(GOOGLE, AUTH, &with(&QUESTION, pairs)).await
    };
    assert!(given(&said(&[("username", "Bob")]).await, "code").is_some());
    let cancelled = said(&[("username", "bob"), ("cancel", "yes")]).await;
    assert_eq!(given(&cancelled, "error").as_deref(), Some("access_denied"));
    scene.providers.change(GOOGLE, "bob", &json!({"refuses": true})).unwrap();
    assert_eq!(given(&said(&[("username", "bob")]).await, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn it_lies_when_it_is_told_to() {
    let scene = Scene::with_secret(GOOGLE).await;
    let mut said = Vec::new();
    for fault in [
        Fault::WrongNonce,
        Fault::WrongAudience,
        Fault::OtherParty,
        Fault::WrongIssuer,
        Fault::Expired,
        Fault::Future,
        Fault::WrongAtHash,
        Fault::NoAlgorithm,
        Fault::SignedWithSecret,
        Fault::SignedWithPublicKey,
        Fault::ForgedKey,
        Fault::UnknownKey,
    ] {
        scene.providers.does_wrong(GOOGLE, Some(fault));
        let code = code(&scene, &[]).await;
        let answer = scene.post(GOOGLE, "/token", &redemption(&code)).await.json();
        said.push(answer["id_token"].as_str().unwrap().to_owned());
    }
    let now = now();
    assert_ne!(claims(&said[0])["nonce"], "no");
    assert_eq!(claims(&said[1])["aud"], "another client");
    assert_eq!(claims(&said[2])["azp"], "another client");
    assert_eq!(claims(&said[3])["iss"], "https://issuer.example");
    assert!(claims(&said[4])["exp"].as_i64().unwrap() < now);
    assert!(claims(&said[5])["iat"].as_i64().unwrap() > now + 60);
    assert!(said[7].ends_with('.'));
    scene.providers.does_wrong(GOOGLE, Some(Fault::Down));
    assert_eq!(scene.get(GOOGLE, "/oauth2/v3/certs", &[]).await.status, 503);
    scene.providers.does_wrong(GOOGLE, None);
    scene.providers.rotates_keys(GOOGLE);
    let keys = scene.get(GOOGLE, "/oauth2/v3/certs", &[]).await.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    assert_eq!(scene.providers.asked_for(GOOGLE, "/oauth2/v3/certs"), 2);
}
