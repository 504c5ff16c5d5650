use axum::http::Method;
use foundation::clock::SystemRandomness;
use foundation::seal::KeyRing;
use foundation::testing::program::Answer;
use uuid::Uuid;

use crate::scene::{Person, Scene, error, good, returned};

const KIND: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The person has signed in with a provider, which gave a token that ends so many minutes from now.
fn keep(scene: &Scene, person: &Person, provider: &str, access: &str, minutes: i32) {
    let keys = std::fs::read_to_string(scene.stage.servers.path("sealing-keys")).unwrap();
    let keys = KeyRing::parse(&keys).unwrap();
    let identity =
        Uuid::from_u128(u128::from_be_bytes(crate::scene::sha256(access)[..16].try_into().unwrap()));
    let text = format!(r#"{{"access":"{access}","refresh":null}}"#);
    let sealed = keys.seal(text.as_bytes(), identity.as_bytes(), &SystemRandomness).unwrap();
    let bytes: String = sealed.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    scene.sql(&format!(
        "INSERT INTO identities (id, account_id, provider, subject, created_at, last_used_at) \
         VALUES ('{identity}', '{}', '{provider}', '{access}', now(), now()); \
         INSERT INTO upstream_grants (identity_id, scope, key_id, sealed, expires_at, updated_at) \
         VALUES ('{identity}', 'openid email', '{}', '\\x{bytes}', now() + interval '{minutes} min', now())",
        person.account, sealed.key_id
    ));
}

/// The scope by which the person lets the client have login providers' tokens.
const SCOPE: (&str, &str) = ("scope", "openid upstream_tokens");

/// The person has said yes to that before.
fn agree(scene: &Scene, person: &Person) {
    scene.sql(&format!(
        "INSERT INTO grants (id, client_id, account_id, session_id, scope, authenticated_at, created_at) \
         VALUES (gen_random_uuid(), 'app', '{}', '{}', 'openid upstream_tokens', now(), now())",
        person.account, person.session
    ));
}

async fn exchange(scene: &Scene, client: &str, token: &str, more: &[(&str, &str)]) -> Answer {
    let fields = [
        &[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", token),
            ("subject_token_type", KIND),
        ],
        more,
    ]
    .concat();
    scene.post_as(client, "/token", &fields).await
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_the_login_providers_token_of_its_own_person() {
    let scene = Scene::new().await;
    let (ada, bob) = (scene.person(), scene.person());
    keep(&scene, &ada, "google", "ya29.ada", 60);
    keep(&scene, &bob, "google", "ya29.bob", 60);
    agree(&scene, &ada);
    let tokens = scene.tokens(&ada, &[SCOPE]).await;
    let token = tokens["access_token"].as_str().unwrap();
    let answer = exchange(&scene, "app", token, &[("audience", "google")]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("cache-control")),
        (200, "no-store"),
        "{}",
        answer.text
    );
    let got = answer.json();
    assert_eq!((&got["access_token"], &got["token_type"]), (&"ya29.ada".into(), &"Bearer".into()));
    assert_eq!((&got["issued_token_type"], &got["scope"]), (&KIND.into(), &"openid email".into()));
    assert!((3_500..=3_600).contains(&got["expires_in"].as_i64().unwrap()));
    assert_eq!(exchange(&scene, "app", token, &[("resource", "google")]).await.status, 200);
    assert_eq!(scene.audited("upstream-token.exchange").lines().count(), 2);

    for (more, expected) in [
        (&[("audience", "github")][..], "invalid_target"),
        (&[("audience", "elsewhere")], "invalid_target"),
        (&[], "invalid_request"),
        (&[("audience", "google"), ("audience", "github")], "invalid_request"),
        (
            &[("audience", "google"), ("requested_token_type", "urn:ietf:params:oauth:token-type:jwt")],
            "invalid_request",
        ),
        (&[("audience", "google"), ("actor_token", "x")], "invalid_request"),
    ] {
        assert_eq!(error(&exchange(&scene, "app", token, more).await), expected, "{more:?}");
    }
    let google = [("audience", "google")];
    assert_eq!(error(&exchange(&scene, "app", "x", &google).await), "invalid_grant");
    assert_eq!(error(&exchange(&scene, "other", token, &google).await), "unauthorized_client");
    let id_token = tokens["id_token"].as_str().unwrap();
    assert_eq!(error(&exchange(&scene, "app", id_token, &google).await), "invalid_grant");
    // Another client's token is nobody's.
    scene.sql("UPDATE grants SET client_id = 'other app'");
    assert_eq!(error(&exchange(&scene, "app", token, &google).await), "invalid_grant");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_not_handed_out() {
    let scene = Scene::new().await;
    let ada = scene.person();
    keep(&scene, &ada, "google", "ya29.old", -1);
    agree(&scene, &ada);
    let token = scene.tokens(&ada, &[SCOPE]).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(error(&exchange(&scene, "app", &token, &[("audience", "google")]).await), "invalid_target");
    keep(&scene, &ada, "github", "gho_ada", 60);
    assert_eq!(exchange(&scene, "app", &token, &[("audience", "github")]).await.status, 200);
    scene.stage.issuer.run(&["sessions", "end", &ada.session.to_string()]);
    assert_eq!(error(&exchange(&scene, "app", &token, &[("audience", "github")]).await), "invalid_grant");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn only_whoever_has_read_what_it_means_lets_a_client_have_them() {
    let scene = Scene::new().await;
    let ada = scene.person();
    keep(&scene, &ada, "google", "ya29.ada", 60);
    let google = [("audience", "google")];
    let token = scene.tokens(&ada, &[]).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(error(&exchange(&scene, "app", &token, &google).await), "invalid_scope");
    // Whoever is signed in already reads it first.
    let page = scene.authorize(Some(&ada), &good(&[SCOPE])).await;
    assert!(page.header("location").is_empty() && page.text.contains("in your name"), "{}", page.text);
    let silent = scene.authorize(Some(&ada), &good(&[SCOPE, ("prompt", "none")])).await;
    assert_eq!(returned(&silent, "error"), "consent_required");
    assert!(!scene.authorize(None, &good(&[])).await.text.contains("in your name"));
    agree(&scene, &ada);
    let tokens = scene.tokens(&ada, &[SCOPE]).await;
    assert_eq!(tokens["scope"], "openid upstream_tokens");
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(exchange(&scene, "app", token, &google).await.status, 200);
    let account = scene.stage.issuer.ask(Method::GET, "/account", &[("cookie", &ada.cookie)]).await;
    assert!(account.text.contains("also at your providers, in your name"), "{}", account.text);
    // A client that may not have them cannot ask.
    let other = [("client_id", "other"), ("redirect_uri", "https://other.example.test/callback"), SCOPE];
    let code = returned(&scene.authorize(Some(&ada), &good(&other)).await, "code");
    assert_eq!(code.len(), 43, "what there is not for a client is left out");
    assert_eq!(scene.sql("SELECT scope FROM grants WHERE client_id = 'other'"), "openid");
}
