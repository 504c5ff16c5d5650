//! The five ways to have somebody's account before they do (arXiv 2205.10174), by the whole issuer. Eve knows Ada's address
//! and cannot prove it.

use serde_json::{Value, json};

use crate::scene::{OFFLINE, SESSION, Scene, error};
use crate::support::browser::Browser;
use crate::support::people::{state_of, token_of};
use crate::support::stage::ISSUER;
use crate::world::at;

const ADA: &str = "ada@example.test";

/// Eve has made an account with Ada's address, by a provider that does not vouch for it, and is signed in.
async fn prepared(scene: &Scene) -> Browser {
    scene.awaits("microsoft", "eve", &json!({ "email": ADA }));
    let mut eves = scene.browser();
    scene.enters(&mut eves, "microsoft").await;
    let who = scene.who(&mut eves).await.unwrap();
    assert_eq!((&who["email"], &who["email_verified"]), (&json!(ADA), &json!(false)));
    eves
}

async fn subject(scene: &Scene, browser: &mut Browser) -> Value {
    scene.who(browser).await.unwrap()["sub"].clone()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn classic_federated_merge() {
    let scene = Scene::new().await;
    let mut eves = prepared(&scene).await;
    let mut adas = scene.browser();
    let state = scene.begun(&mut adas).await;
    let question = scene.press(&mut adas, &state, "github").await.header("location").to_owned();
    assert!(question.starts_with("/linking/"), "Ada is asked, and merged into nothing: {question}");
    adas.post(&at(&format!("{question}/new")), ISSUER, &[]).await;
    assert_ne!(subject(&scene, &mut adas).await, subject(&scene, &mut eves).await);
    // From now on it is Ada's account that whoever vouches for her leads into.
    let mut again = scene.browser();
    scene.enters(&mut again, "apple").await;
    assert_eq!(subject(&scene, &mut again).await, subject(&scene, &mut adas).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn unexpired_session() {
    let scene = Scene::new().await;
    // Somebody is signed in to the account before its address is vouched for, also at a client while they are away.
    let mut left = prepared(&scene).await;
    let account = subject(&scene, &mut left).await;
    let tokens = scene.tokens(&mut left, &[OFFLINE]).await;
    let link = scene.stage.issuer.run(&["recover", account.as_str().unwrap()]);
    assert!(link.status.success());
    // Its person proves the address, and signs in to it when asked.
    let mut adas = scene.browser();
    let state = scene.begun(&mut adas).await;
    let question = scene.press(&mut adas, &state, "github").await.header("location").to_owned();
    let state = state_of(&adas.open(&at(&question)).await.text);
    assert_eq!(scene.press(&mut adas, &state, "microsoft").await.header("location"), "/account");
    assert_eq!(subject(&scene, &mut adas).await, account);
    // Whatever was there before has ended.
    assert_eq!(left.open(&at("/account")).await.header("location"), "/sign-in");
    assert!(scene.who(&mut left).await.is_none());
    assert_eq!(scene.userinfo(tokens["access_token"].as_str().unwrap()).await.status, 401);
    assert_eq!(error(&scene.refresh(tokens["refresh_token"].as_str().unwrap()).await), "invalid_grant");
    let link = url::Url::parse(String::from_utf8_lossy(&link.stdout).trim()).unwrap();
    assert_eq!(scene.browser().post(&link, ISSUER, &[]).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn trojan_identifier() {
    let scene = Scene::new().await;
    let mut eves = prepared(&scene).await;
    // Eve adds a second identity, by which she means to come back.
    scene.awaits("github", "eve", &json!({}));
    let state = state_of(&eves.open(&at("/account/link")).await.text);
    let linked = scene.press(&mut eves, &state, "github").await;
    assert_eq!(linked.header("location"), "/account?notice=linked");
    // Ada comes, and her account has nothing of Eve's.
    let mut adas = scene.browser();
    scene.enters(&mut adas, "apple").await;
    let ada = subject(&scene, &mut adas).await;
    assert_eq!(scene.stage.count(&format!("identities WHERE account_id = '{}'", ada.as_str().unwrap())), "1");
    let mut back = scene.browser();
    scene.enters(&mut back, "github").await;
    assert_ne!(subject(&scene, &mut back).await, ada);
    // Nor can she add one to Ada's account from a page of hers.
    let token = token_of(&eves.open(&at("/account")).await.text);
    let forced = adas.post(&at("/account/link"), "https://evil.example", &[("csrf_token", &token)]).await;
    assert_eq!(forced.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn unexpired_email_change() {
    let scene = Scene::new().await;
    // Eve leaves two things undone: the question of an identity with Ada's address, and adding an identity in a browser
    // that Ada uses after her.
    scene.awaits("microsoft", "eve", &json!({ "email": ADA }));
    let mut eves = scene.browser();
    let state = scene.begun(&mut eves).await;
    let waits = scene.press(&mut eves, &state, "microsoft").await.header("location").to_owned();
    assert!(waits.starts_with("/linking/"), "{waits}");
    scene.awaits("github", "eve", &json!({ "email": "eve@example.test" }));
    let mut shared = scene.browser();
    scene.enters(&mut shared, "github").await;
    let adding = state_of(&shared.open(&at("/account/link")).await.text);
    let token = token_of(&shared.open(&at("/account")).await.text);
    shared.post(&at("/account/sign-out"), ISSUER, &[("csrf_token", &token)]).await;
    // Eve's provider has Ada's address of her by now, and does not vouch for it: nothing follows.
    scene.awaits("github", "eve", &json!({ "email": ADA, "verified": false }));
    scene.enters(&mut scene.browser(), "github").await;
    // Ada comes.
    scene.awaits("github", "ada", &json!({}));
    scene.enters(&mut shared, "github").await;
    let ada = subject(&scene, &mut shared).await;
    assert_eq!(scene.who(&mut shared).await.unwrap()["email_verified"], true);
    // What was to be added to Eve's account is added to nobody's.
    let finished = scene.press(&mut shared, &adding, "apple").await;
    assert_eq!((finished.status.as_u16(), finished.header("location")), (400, ""));
    // And her answer makes an account of her own.
    eves.post(&at(&format!("{waits}/new")), ISSUER, &[]).await;
    assert_ne!(subject(&scene, &mut eves).await, ada);
    assert_eq!(scene.who(&mut eves).await.unwrap()["email_verified"], false);
    assert_eq!(scene.stage.count(&format!("identities WHERE account_id = '{}'", ada.as_str().unwrap())), "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn non_verifying_provider() {
    let scene = Scene::new().await;
    let mut adas = scene.browser();
    scene.enters(&mut adas, "github").await;
    let ada = subject(&scene, &mut adas).await;
    // One whose word does not count says that Eve has Ada's address, and that it has verified it.
    scene.awaits("google", "eve", &json!({ "email": ADA, "verified": true }));
    let mut eves = scene.browser();
    let state = scene.begun(&mut eves).await;
    let question = scene.press(&mut eves, &state, "fifth").await.header("location").to_owned();
    assert!(question.starts_with("/linking/"), "{question}");
    assert!(eves.cookie(ISSUER, SESSION).is_none());
    eves.post(&at(&format!("{question}/new")), ISSUER, &[]).await;
    let who = scene.who(&mut eves).await.unwrap();
    assert_ne!(who["sub"], ada);
    assert_eq!((&who["email"], &who["email_verified"]), (&json!(ADA), &json!(false)));
    // Nor does it take Ada's next identity away from her account.
    let mut again = scene.browser();
    scene.enters(&mut again, "apple").await;
    assert_eq!(subject(&scene, &mut again).await, ada);
}
