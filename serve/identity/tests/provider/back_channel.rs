use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use foundation::environment::ServerCertificate;
use foundation::extract::FormBody;
use foundation::{server, tls};
use serde_json::json;
use tokio::net::TcpListener;

use crate::scene::Scene;
use crate::support::stage::ISSUER;

/// What a client was told; it does not take the first.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

async fn hear(State(told): State<Told>, form: FormBody) -> StatusCode {
    let mut told = told.0.lock().unwrap();
    told.push(form.field("logout_token").unwrap());
    if told.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_until_it_has_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let scene = Scene::telling(&format!("https://localhost:{port}/back-channel-logout")).await;
    let file = |name: &str| scene.stage.servers.path(name);
    let certificate = ServerCertificate { certificate: file("server.pem"), key: file("server.key") };
    let told = Told::default();
    let router = Router::new().route("/back-channel-logout", post(hear)).with_state(told.clone());
    tokio::spawn(server::serve(
        listener,
        Some(tls::server(&certificate).unwrap()),
        router,
        std::future::pending(),
    ));

    let ada = scene.person();
    let tokens = scene.tokens(&ada, &[]).await;
    let hint = tokens["id_token"].as_str().unwrap();
    let path = format!("/logout?id_token_hint={hint}");
    scene.stage.issuer.ask(axum::http::Method::GET, &path, &[("cookie", &ada.cookie)]).await;
    let started = Instant::now();
    while told.0.lock().unwrap().len() < 2 {
        // The pause before the second attempt goes by.
        scene.sql("UPDATE errands SET due_at = now() WHERE attempts = 1 AND last_error IS NOT NULL");
        assert!(started.elapsed() < Duration::from_secs(30), "it was not told");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let heard = told.0.lock().unwrap().clone();
    let (_, first) = scene.verified(&heard[0]).await.unwrap();
    let (_, second) = scene.verified(&heard[1]).await.unwrap();
    for claims in [&first, &second] {
        assert_eq!((&claims["iss"], &claims["aud"]), (&ISSUER.into(), &"app".into()));
        assert_eq!(claims["sub"], ada.account.to_string());
        assert_eq!(claims["sid"], ada.session.to_string());
        assert_eq!(claims["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
        assert!(claims.get("nonce").is_none());
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
    }
    assert_ne!(first["jti"], second["jti"], "each attempt has a token of its own");
    let started = Instant::now();
    while scene.stage.count("errands") != "0" {
        assert!(started.elapsed() < Duration::from_secs(30), "it is told again and again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // It is no ID token, and says nothing of who is meant.
    let answer = scene.stage.issuer.get(&format!("/logout?id_token_hint={}", heard[1])).await;
    assert_eq!(answer.status, 400);
}
