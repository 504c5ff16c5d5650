use std::time::Duration;

use foundation::testing::program::Answer;
use login_providers::{Proof, Provider, Registration};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::scene::*;

const APPLE: Provider = Provider::Apple;
const AUTH: &str = "/auth/authorize";
const QUESTION: [(&str, &str); 9] = [
    ("response_type", "code"),
    ("response_mode", "form_post"),
    ("client_id", CLIENT),
    ("redirect_uri", BACK),
    ("scope", "name email"),
    ("state", "st"),
    ("nonce", "no"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

async fn registered() -> (Scene, String) {
    let scene = Scene::new().await;
    let pem = KeyPair::generate().unwrap().serialize_pem();
    let proof = Proof::Key { pem: pem.clone(), key_id: "KEY".to_owned(), team_id: "TEAM".to_owned() };
    scene.providers.register(APPLE, Registration::new(CLIENT, BACK, proof));
    scene.providers.awaits(APPLE, Some("ada"));
    (scene, pem)
}

fn secret(scene: &Scene, pem: &str, header: &Value, changes: &Value) -> String {
    let now = now();
    let mut claims = json!({
        "iss": "TEAM", "sub": CLIENT, "aud": scene.providers.origin(APPLE), "iat": now, "exp": now + 3600
    });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let mut all = json!({"alg": "ES256", "kid": "KEY"});
    all.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
    es256(pem, &all, &claims)
}

async fn code(scene: &Scene) -> String {
    field(&scene.get(APPLE, AUTH, &QUESTION).await, "code").unwrap()
}

async fn redeem(scene: &Scene, secret: &str, changes: &[(&str, &str)]) -> Answer {
    redeem_code(scene, &code(scene).await, secret, changes).await
}

async fn redeem_code(scene: &Scene, code: &str, secret: &str, changes: &[(&str, &str)]) -> Answer {
    let pairs = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("client_secret", secret),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ];
    scene.post(APPLE, "/auth/token", &with(&pairs, changes)).await
}

#[tokio::test]
async fn the_answer_is_a_form_and_the_name_is_said_once() {
    let (scene, pem) = registered().await;
    let page = scene.get(APPLE, AUTH, &QUESTION).await;
    assert!(page.text.contains(&format!("action=\"{BACK}\"")), "{}", page.text);
    let user: Value = serde_json::from_str(&field(&page, "user").unwrap()).unwrap();
    assert_eq!(user["name"], json!({"firstName": "Ada", "lastName": "Lovelace"}));
    let again = scene.get(APPLE, AUTH, &QUESTION).await;
    assert!(field(&again, "code").is_some() && field(&again, "user").is_none());
    let secret = secret(&scene, &pem, &json!({}), &json!({}));
    let answer = redeem(&scene, &secret, &[]).await.json();
    let said = claims(answer["id_token"].as_str().unwrap());
    assert_eq!((&said["email_verified"], said.get("is_private_email")), (&json!("true"), None));
    assert!(said.get("name").is_none());
    scene.providers.change(APPLE, "ada", &json!({"hidden": true})).unwrap();
    let answer = redeem(&scene, &secret, &[]).await.json();
    let said = claims(answer["id_token"].as_str().unwrap());
    assert!(said["email"].as_str().unwrap().ends_with("@privaterelay.appleid.com"));
    assert_eq!(said["is_private_email"], "true");
    let refresh = answer["refresh_token"].as_str().unwrap();
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", CLIENT),
        ("client_secret", &secret),
        ("refresh_token", refresh),
    ];
    assert!(scene.post(APPLE, "/auth/token", &pairs).await.json().get("access_token").is_some());
    scene.providers.forgets(APPLE, "ada");
    assert_eq!(scene.post(APPLE, "/auth/token", &pairs).await.json()["error"], "invalid_grant");
    // Who lets it know anew says the name anew.
    assert!(field(&scene.get(APPLE, AUTH, &QUESTION).await, "user").is_some());
}

#[tokio::test]
async fn questions_that_are_not_in_order_lead_nowhere() {
    let (scene, _) = registered().await;
    for (name, value, said) in [
        ("client_id", "nobody", "invalid_client"),
        ("redirect_uri", "https://id.example.test/callback/", "Invalid web redirect url"),
        ("response_mode", "", "response_mode must be form_post"),
        ("response_mode", "query", "response_mode must be form_post"),
        ("scope", "name email phone", "invalid_scope"),
        ("response_type", "token", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
    ] {
        let answer = scene.get(APPLE, AUTH, &with(&QUESTION, &[(name, value)])).await;
        assert!(answer.status == 400 && answer.text.contains(said), "{name}={value}: {}", answer.text);
    }
    // Without these scopes a redirect does.
    let bare = with(&QUESTION, &[("scope", "openid"), ("response_mode", "query")]);
    assert!(given(&scene.get(APPLE, AUTH, &bare).await, "code").is_some());
    scene.providers.change(APPLE, "ada", &json!({"refuses": true})).unwrap();
    let refused = scene.get(APPLE, AUTH, &QUESTION).await;
    assert_eq!(field(&refused, "error").as_deref(), Some("user_cancelled_authorize"));
}

#[tokio::test]
async fn a_client_secret_is_signed_by_the_key_and_lasts_at_most_half_a_year() {
    let (scene, pem) = registered().await;
    let now = now();
    let longest = secret(&scene, &pem, &json!({}), &json!({"exp": now + 15_777_000}));
    assert_eq!(redeem(&scene, &longest, &[]).await.status, 200);
    let stranger = KeyPair::generate().unwrap().serialize_pem();
    for bad in [
        secret(&scene, &pem, &json!({}), &json!({"exp": now + 15_777_060})),
        secret(&scene, &pem, &json!({}), &json!({"exp": now - 1})),
        secret(&scene, &pem, &json!({}), &json!({"iat": now + 3600})),
        secret(&scene, &pem, &json!({}), &json!({"exp": null})),
        secret(&scene, &pem, &json!({}), &json!({"iss": "OTHER"})),
        secret(&scene, &pem, &json!({}), &json!({"sub": "other"})),
        secret(&scene, &pem, &json!({}), &json!({"aud": "https://example.test"})),
        secret(&scene, &pem, &json!({"kid": "OTHER"}), &json!({})),
        secret(&scene, &pem, &json!({"alg": "ES384"}), &json!({})),
        secret(&scene, &stranger, &json!({}), &json!({})),
        "no token".to_owned(),
        String::new(),
    ] {
        let answer = redeem(&scene, &bad, &[]).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &json!("invalid_client")));
    }
}

#[tokio::test]
async fn a_code_is_for_its_client_once_for_ten_minutes_and_with_its_verifier() {
    let (scene, pem) = registered().await;
    let secret = secret(&scene, &pem, &json!({}), &json!({}));
    for (name, value, error) in [
        ("code", "guessed", "invalid_grant"),
        ("redirect_uri", "https://id.example.test/other", "invalid_grant"),
        ("code_verifier", "wrong", "invalid_grant"),
        ("code_verifier", "", "invalid_grant"),
        ("client_id", "nobody", "invalid_client"),
        ("grant_type", "password", "unsupported_grant_type"),
    ] {
        let answer = redeem(&scene, &secret, &[(name, value)]).await.json();
        assert_eq!(answer["error"], json!(error), "{name}");
    }
    let refused = async |code: &str, secret: &str, changes: &[(&str, &str)]| {
        let answer = redeem_code(&scene, code, secret, changes).await;
        assert_eq!(answer.json()["error"], json!("invalid_grant"), "{changes:?}");
    };
    let once = code(&scene).await;
    assert_eq!(redeem_code(&scene, &once, &secret, &[]).await.status, 200);
    refused(&once, &secret, &[]).await;
    // Another client, which proves who it is.
    let proof = Proof::Key { pem: pem.clone(), key_id: "KEY".to_owned(), team_id: "TEAM".to_owned() };
    scene.providers.register(APPLE, Registration::new("another", BACK, proof));
    let others = self::secret(&scene, &pem, &json!({}), &json!({"sub": "another"}));
    refused(&code(&scene).await, &others, &[("client_id", "another")]).await;
    let late = code(&scene).await;
    scene.providers.advance(Duration::from_secs(600));
    refused(&late, &secret, &[]).await;
}

#[tokio::test]
async fn notifications_are_signed_and_say_what_happened_as_text() {
    let (scene, _) = registered().await;
    let body: Value =
        serde_json::from_str(&scene.providers.notification(CLIENT, "ada", "account-delete")).unwrap();
    let said = claims(body["payload"].as_str().unwrap());
    assert_eq!((&said["aud"], &said["iss"]), (&json!(CLIENT), &json!(scene.providers.origin(APPLE))));
    let event: Value = serde_json::from_str(said["events"].as_str().unwrap()).unwrap();
    let subject = scene.providers.account(APPLE, "ada").subject;
    assert_eq!((&event["type"], &event["sub"]), (&json!("account-delete"), &json!(subject)));
    scene.providers.delete(APPLE, "ada");
    assert_ne!(scene.providers.account(APPLE, "ada").subject, subject);
}
