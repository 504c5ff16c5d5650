//! Tokens that nobody who may has signed, or not for now.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use login_providers::{Fault, Provider};
use serde_json::{Value, json};

use crate::scene::{SESSION, Scene, assertion_claims, encoded, error, jwt, returned, secret, signed_by};
use crate::support::stage::ISSUER;
use crate::world::at;

const OIDC: [(&str, Provider); 3] =
    [("google", Provider::Google), ("microsoft", Provider::Microsoft), ("apple", Provider::Apple)];

fn hs256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

/// Presses the buttons of these providers while each does this wrong; nobody is in by that.
async fn no_one_enters(scene: &Scene, faults: &[(&str, Provider, Fault, &str)]) {
    let mut browser = scene.browser();
    for (name, provider, fault, reason) in faults {
        scene.world.does_wrong(*provider, Some(fault.clone()));
        let state = scene.begun(&mut browser).await;
        let answer = scene.press(&mut browser, &state, name).await;
        assert_eq!(answer.status, 400, "{name} {fault:?}");
        assert_eq!(scene.denied().last().unwrap(), &format!("{name} {reason}"), "{fault:?}");
        scene.world.does_wrong(*provider, None);
    }
    assert!(browser.cookie(ISSUER, SESSION).is_none());
    assert_eq!((scene.believed(), scene.stage.count("accounts")), (0, "0".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_client_that_signs_with_no_algorithm_or_another_key() {
    let scene = Scene::new().await;
    let public = scene.key.public_key().as_ref().to_vec();
    let document = std::fs::read(scene.stage.servers.path("signer.json")).unwrap();
    let stranger = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let claims = || assertion_claims(&json!({}));
    let by = |key: &EcdsaKeyPair, message: &[u8]| {
        key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    };
    let mut with_key = signed_by("ES256");
    let (x, y) = stranger.public_key().as_ref()[1..].split_at(32);
    with_key["jwk"] = json!({ "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) });
    for (what, token) in [
        ("unsigned", jwt(&signed_by("none"), &claims(), |_| Vec::new())),
        ("unsigned, shouted", jwt(&signed_by("NONE"), &claims(), |_| Vec::new())),
        ("a signature of nothing", jwt(&signed_by("ES256"), &claims(), |_| vec![0; 64])),
        ("no signature", jwt(&signed_by("ES256"), &claims(), |_| Vec::new())),
        ("the public key as a secret", jwt(&signed_by("HS256"), &claims(), |text| hs256(&public, text))),
        ("the key set as a secret", jwt(&signed_by("HS256"), &claims(), |text| hs256(&document, text))),
        (
            "the secret of others",
            jwt(&signed_by("HS256"), &claims(), |text| {
                hs256(crate::support::stage::CLIENT_SECRET.as_bytes(), text)
            }),
        ),
        ("another key", jwt(&signed_by("ES256"), &claims(), |text| by(&stranger, text))),
        ("a key of its own", jwt(&with_key, &claims(), |text| by(&stranger, text))),
        ("another algorithm's name", jwt(&signed_by("RS256"), &claims(), |text| by(&scene.key, text))),
    ] {
        let answer = scene.signed(&token).await;
        assert_eq!((answer.status.as_u16(), error(&answer).as_str()), (401, "invalid_client"), "{what}");
    }
    let good = jwt(&signed_by("ES256"), &claims(), |text| by(&scene.key, text));
    // Ten wrong ones a minute slow a client at one address; it proves itself from another.
    let fields = [
        ("token", "x"),
        ("client_assertion_type", crate::scene::ASSERTION),
        ("client_assertion", good.as_str()),
    ];
    let home = [("x-forwarded-for", "192.0.2.99")];
    assert_eq!(scene.post("/introspect", &home, &fields).await.status, 200);
    assert_eq!(scene.post("/introspect", &home, &fields).await.status, 401, "and each assertion counts once");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_hint_that_nobody_has_signed() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    let token = scene.tokens(&mut browser, &[]).await["id_token"].as_str().unwrap().to_owned();
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
    let keys = scene.stage.issuer.get("/keys").await;
    let key =
        keys.json()["keys"].as_array().unwrap().iter().find(|key| key["alg"] == "ES256").unwrap().clone();
    let mut confused = signed_by("HS256");
    confused["kid"] = key["kid"].clone();
    let decode = |part: &Value| URL_SAFE_NO_PAD.decode(part.as_str().unwrap()).unwrap();
    let point = [vec![4], decode(&key["x"]), decode(&key["y"])].concat();
    let signature = token.rsplit('.').next().unwrap();
    let mut other = claims.clone();
    other["sub"] = json!("00000000-0000-7000-8000-000000000000");
    let swapped = jwt(&signed_by("ES256"), &other, |_| URL_SAFE_NO_PAD.decode(signature).unwrap());
    for (what, hint) in [
        ("unsigned", jwt(&signed_by("none"), &claims, |_| Vec::new())),
        ("the public key as a secret", jwt(&confused, &claims, |text| hs256(&point, text))),
        ("the key set as a secret", jwt(&confused, &claims, |text| hs256(keys.text.as_bytes(), text))),
        ("another person", swapped),
    ] {
        let logout = at(&format!("/logout?{}", encoded(&[("id_token_hint", hint.as_str())])));
        assert_eq!(browser.open(&logout).await.status, 400, "{what}");
        let silent = [("prompt", "none"), ("id_token_hint", hint.as_str())];
        let url = at(&format!("/authorize?{}", encoded(&crate::scene::good(&silent))));
        assert_eq!(returned(&browser.open(&url).await, "error"), "invalid_request", "{what}");
    }
    assert!(scene.who(&mut browser).await.is_some(), "nobody was signed out");
    let logout = at(&format!("/logout?{}", encoded(&[("id_token_hint", token.as_str())])));
    assert_eq!(browser.open(&logout).await.status, 200);
    assert!(scene.who(&mut browser).await.is_none(), "the real one signs out");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_login_providers_token_without_algorithm_or_with_a_confused_key() {
    let scene = Scene::new().await;
    let mut faults = Vec::new();
    for (name, provider) in OIDC {
        faults.push((name, provider, Fault::NoAlgorithm, "token-malformed"));
        faults.push((name, provider, Fault::SignedWithPublicKey, "token-algorithm"));
        faults.push((name, provider, Fault::ForgedKey, "token-not-signed"));
        faults.push((name, provider, Fault::UnknownKey, "token-not-signed"));
    }
    faults.push(("google", Provider::Google, Fault::SignedWithSecret, "token-algorithm"));
    faults.push(("microsoft", Provider::Microsoft, Fault::SignedWithSecret, "token-algorithm"));
    no_one_enters(&scene, &faults).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn forged_microsoft_issuer() {
    let scene = Scene::new().await;
    let forged = |fault, reason| ("microsoft", Provider::Microsoft, fault, reason);
    no_one_enters(
        &scene,
        &[
            forged(Fault::WrongIssuer, "token-issuer"),
            // The tenant of the issuer and the one that is named must be the same,
            forged(Fault::ForgedTenant, "token-issuer"),
            // and the key for private people vouches for nobody of a company.
            forged(Fault::ConsumersKey, "token-key-issuer"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_login_providers_token_for_another_audience() {
    let scene = Scene::new().await;
    let mut faults = Vec::new();
    for (name, provider) in OIDC {
        faults.push((name, provider, Fault::WrongAudience, "token-audience"));
        faults.push((name, provider, Fault::OtherParty, "token-audience"));
    }
    no_one_enters(&scene, &faults).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn expired_and_future_tokens() {
    let scene = Scene::new().await;
    let mut faults = Vec::new();
    for (name, provider) in OIDC {
        faults.push((name, provider, Fault::Expired, "token-old"));
        faults.push((name, provider, Fault::Future, "token-early"));
    }
    no_one_enters(&scene, &faults).await;
    // Clients' assertions.
    let now = assertion_claims(&json!({}))["iat"].as_i64().unwrap();
    let sign = |changes: &Value| {
        let key = &scene.key;
        jwt(&signed_by("ES256"), &assertion_claims(changes), |message| {
            key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
        })
    };
    for changes in [
        json!({ "exp": now - 61 }),
        json!({ "exp": now + 86_400 }),
        json!({ "iat": now + 300, "exp": now + 360 }),
        json!({ "nbf": now + 300 }),
        json!({ "exp": null }),
    ] {
        assert_eq!(scene.signed(&sign(&changes)).await.status, 401, "{changes}");
    }
    assert_eq!(scene.signed(&sign(&json!({}))).await.status, 200);
    // What the issuer itself gives out.
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    let code = scene.code(&mut browser, &[]).await;
    scene.sql("UPDATE codes SET expires_at = now()");
    assert_eq!(error(&scene.redeem(&code, &[]).await), "invalid_grant");
    let tokens = scene.tokens(&mut browser, &[crate::scene::OFFLINE]).await;
    scene.sql("UPDATE issued_tokens SET expires_at = now()");
    assert_eq!(scene.userinfo(tokens["access_token"].as_str().unwrap()).await.status, 401);
    assert_eq!(error(&scene.refresh(tokens["refresh_token"].as_str().unwrap()).await), "invalid_grant");
    assert_eq!(scene.userinfo(&secret()).await.status, 401);
}
