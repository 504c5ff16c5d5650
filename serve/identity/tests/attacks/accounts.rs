//! Addresses that nobody vouches for, and what the issuer gives away of those that it knows.

use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::json;

use crate::scene::{FORM, SESSION, Scene, basic, error, secret};
use crate::support::stage::ISSUER;
use crate::world::at;

const ADA: &str = "ada@example.test";

/// Ada has an account, by GitHub; who she is to clients.
async fn ada(scene: &Scene) -> String {
    let mut browser = scene.browser();
    scene.enters(&mut browser, "github").await;
    let who = scene.who(&mut browser).await.unwrap();
    assert_eq!((who["email"].as_str(), &who["email_verified"]), (Some(ADA), &json!(true)));
    who["sub"].as_str().unwrap().to_owned()
}

/// Eve comes by a provider with Ada's address: she is asked, is in no account of Ada's, and nobody believes the address.
async fn comes_with_adas_address(scene: &Scene, provider: &str) {
    let ada = ada(scene).await;
    let mut eves = scene.browser();
    let state = scene.begun(&mut eves).await;
    let answer = scene.press(&mut eves, &state, provider).await;
    let question = answer.header("location").to_owned();
    assert!(question.starts_with("/linking/"), "{question}");
    assert!(eves.cookie(ISSUER, SESSION).is_none() && scene.who(&mut eves).await.is_none());
    let answer = eves.post(&at(&format!("{question}/new")), ISSUER, &[]).await;
    assert_eq!(answer.header("location"), "/account");
    let who = scene.who(&mut eves).await.unwrap();
    assert_ne!(who["sub"], ada);
    assert_eq!((&who["email"], &who["email_verified"]), (&json!(ADA), &json!(false)));
    assert_eq!(scene.stage.count(&format!("identities WHERE account_id = '{ada}'")), "1");
    assert_eq!(scene.stage.count("errands WHERE kind = 'mail'"), "0", "and nobody is written to");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn noauth_takeover() {
    let scene = Scene::new().await;
    // In a tenant of her own, Eve has written what she likes into her address.
    scene.awaits("microsoft", "eve", &json!({ "email": ADA, "verified": true }));
    comes_with_adas_address(&scene, "microsoft").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn unverified_github_address() {
    let scene = Scene::new().await;
    let ada = ada(&scene).await;
    // Eve shows Ada's address on her profile, and has added it without proving it.
    scene.awaits("github", "eve", &json!({ "email": ADA, "verified": false, "public_email": ADA }));
    let mut eves = scene.browser();
    scene.enters(&mut eves, "github").await;
    let who = scene.who(&mut eves).await.unwrap();
    assert_ne!(who["sub"], ada);
    assert_ne!((&who["email"], &who["email_verified"]), (&json!(ADA), &json!(true)));
    assert_eq!(scene.stage.count(&format!("identities WHERE account_id = '{ada}'")), "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn user_enumeration_by_text() {
    let scene = Scene::new().await;
    ada(&scene).await;
    // Whether an address has an account.
    let mut pages = Vec::new();
    for address in [ADA, "bob@example.test"] {
        scene.awaits("microsoft", "eve", &json!({ "email": address, "verified": false }));
        let mut eves = scene.browser();
        let state = scene.begun(&mut eves).await;
        let answer = scene.press(&mut eves, &state, "microsoft").await;
        let question = answer.header("location").to_owned();
        let page = eves.open(&at(&question)).await;
        let state = question.strip_prefix("/linking/").unwrap();
        let page = page.text.replace(address, "ADDRESS").replace(state, "STATE");
        pages.push((answer.status, question.len(), page));
    }
    assert_eq!(pages[0], pages[1]);
    // Whether there is a client, a code, a token, or a link of an operator.
    let wrong = async |client: &str| {
        let answer = scene.post("/token", &[("authorization", &basic(client, "wrong"))], &[]).await;
        (answer.status, answer.text)
    };
    assert_eq!(wrong("app").await, wrong("nobody").await);
    let mut browser = scene.browser();
    scene.awaits("github", "ada", &json!({}));
    scene.enters(&mut browser, "github").await;
    let used = scene.code(&mut browser, &[]).await;
    scene.redeem(&used, &[]).await;
    let answers = [scene.redeem(&used, &[]).await.text, scene.redeem(&secret(), &[]).await.text];
    assert_eq!(answers[0], answers[1]);
    assert_eq!(error(&scene.refresh(&secret()).await), "invalid_grant");
    let link = format!("/recover/{}", secret());
    assert_eq!(browser.open(&at(&link)).await.status, 200, "whatever there is behind it");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn user_enumeration_by_timing() {
    let scene = Scene::new().await;
    ada(&scene).await;
    // Alternately, so that whatever else the machine does slows both alike.
    let mut clients = [Vec::new(), Vec::new()];
    let mut addresses = [Vec::new(), Vec::new()];
    // On one connection, whose beginning would hide what follows.
    let mut connection = scene.stage.issuer.connect().await;
    for round in 0..61_u8 {
        for which in [0, 1] {
            let (client, from) = (basic(["app", "nobody"][which], "wrong"), format!("192.0.2.{round}"));
            let headers = [("authorization", client.as_str()), ("x-forwarded-for", &from), FORM];
            let started = Instant::now();
            let answer = connection.send(Method::POST, "/token", &headers, String::new()).await.unwrap();
            clients[which].push(started.elapsed());
            assert_eq!(answer.status, 401);
        }
    }
    for round in 0..11 {
        for which in [0, 1] {
            let address = [ADA, "bob@example.test"][which];
            scene.awaits(
                "microsoft",
                &format!("eve-{round}"),
                &json!({ "email": address, "verified": false }),
            );
            let mut eves = scene.browser();
            let state = scene.begun(&mut eves).await;
            let back = scene.returns(&mut eves, &state, "microsoft").await;
            let started = Instant::now();
            assert_eq!(eves.open(&back).await.status, 303);
            addresses[which].push(started.elapsed());
        }
    }
    for (what, times) in [("client", clients), ("address", addresses)] {
        let [known, unknown] = times.map(median);
        let (less, more) = (known.min(unknown), known.max(unknown));
        assert!(more < less * 3 / 2, "{what}: {known:?} and {unknown:?}");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
