//! The five ways to have somebody's account before they do (arXiv 2205.10174), and what else could take one over. Eve knows
//! Ada's address and cannot prove it.

use super::scene::{Browser, Scene, authorization, verified};
use crate::attempt::Purpose;
use crate::upstream::Verified;

const ADA: &str = "ada@example.test";

/// Eve, with a login provider that says of her what she likes.
fn eve() -> Verified {
    verified("microsoft", "eves-tenant:eve", Some((ADA, false)))
}

/// Ada, with one that knows.
fn ada() -> Verified {
    verified("google", "ada", Some((ADA, true)))
}

/// Eve has made an account with Ada's address, and is signed in.
async fn prepared(scene: &Scene) -> Browser {
    let mut eves = Browser::default();
    let got = eves.come(scene, Purpose::Account, eve()).await;
    eves.go_on_as_new(scene, &got).await;
    assert_eq!(scene.ask("SELECT email || ' ' || email_vouched FROM accounts"), format!("{ADA} false"));
    eves
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn classic_federated_merge() {
    let scene = Scene::new().await;
    let eves = prepared(&scene).await;
    let mut adas = Browser::default();
    let got = adas.come(&scene, authorization(), ada()).await;
    assert!(adas.question(&scene, &got).is_some(), "Ada is asked: {}", got.location);
    assert_eq!(scene.count("identities"), 1, "and joins nothing meanwhile");
    adas.go_on_as_new(&scene, &got).await;
    assert_ne!(adas.account(&scene).await, eves.account(&scene).await);
    assert_ne!(scene.account_of("google", "ada"), scene.account_of("microsoft", "eves-tenant:eve"));
    // From now on Ada's account is the one that counts, whatever Eve's says.
    let mut again = Browser::default();
    again.come(&scene, Purpose::Account, verified("github", "ada", Some((ADA, true)))).await;
    assert_eq!(again.account(&scene).await, adas.account(&scene).await);
    // Eve is told nothing of it, and gets none of Ada's mail.
    assert_eq!(scene.letters(), [format!("identity_joined {ADA}")]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn unexpired_session() {
    let scene = Scene::new().await;
    // An account whose address nobody vouched for, with a session somewhere, offline access, and a link of an operator.
    let elsewhere = prepared(&scene).await;
    let left = elsewhere.session(&scene).await.unwrap();
    scene.grant("app", left.account, left.id, "openid offline_access");
    scene
        .ask("INSERT INTO recoveries SELECT sha256('x'), id, now(), now() + interval '1 hour' FROM accounts");
    // Its person proves the address, by signing in to it when asked.
    let mut browser = Browser::default();
    let got = browser.come(&scene, Purpose::Account, ada()).await;
    let question = browser.question(&scene, &got).unwrap();
    browser.come_with(&scene, question, eve()).await;
    assert_eq!(browser.account(&scene).await, Some(left.account));
    assert_eq!(scene.ask("SELECT email_vouched FROM accounts"), "t");
    // Whatever was there before has ended.
    assert_eq!(elsewhere.session(&scene).await, None);
    assert_eq!((scene.count("browser_sessions"), scene.count("recoveries")), (1, 0));
    assert_eq!(scene.ask("SELECT ended_because FROM grants"), "revoked");
    assert_eq!(
        scene.ask("SELECT payload->>'client_id' FROM errands WHERE kind = 'back_channel_logout'"),
        "app"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn trojan_identifier() {
    let scene = Scene::new().await;
    let mut eves = prepared(&scene).await;
    // Eve adds a second identity, with an address of her own that is vouched for.
    let session = eves.session(&scene).await.unwrap();
    let purpose = Purpose::Link { account: session.account, session: session.id };
    eves.come(&scene, purpose, verified("github", "eve", Some(("eve@example.test", true)))).await;
    // She is told where somebody vouches that she is, and Ada is not bothered.
    assert_eq!(scene.letters(), ["identity_joined eve@example.test"]);
    // Then the account has that address: it does not wait for Ada any more.
    assert_eq!(scene.ask("SELECT email || ' ' || email_vouched FROM accounts"), "eve@example.test true");
    let mut adas = Browser::default();
    let got = adas.come(&scene, Purpose::Account, ada()).await;
    assert_eq!(got.location, "/account");
    assert_ne!(adas.account(&scene).await, eves.account(&scene).await);
    let identities = format!("identities WHERE account_id = '{}'", adas.account(&scene).await.unwrap());
    assert_eq!(scene.count(&identities), 1, "Ada's account has no identity but hers");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn unexpired_email_change() {
    let scene = Scene::new().await;
    // Nothing changes an address but its own login provider's word of now: what Eve left undone leads nowhere later.
    let mut eves = Browser::default();
    let got = eves.come(&scene, Purpose::Account, eve()).await;
    let mut adas = Browser::default();
    adas.come(&scene, Purpose::Account, ada()).await;
    let account = adas.account(&scene).await.unwrap();
    // In Ada's browser there is no question of Eve's, whatever address she is sent to.
    assert!(adas.question(&scene, &got).is_none());
    // In Eve's, it ends in time.
    assert!(eves.question(&scene, &got).is_some());
    scene.advance(600);
    assert!(eves.question(&scene, &got).is_none());
    // And an identity that was to be linked to Ada's account in a session that has ended is not.
    let session = adas.session(&scene).await.unwrap();
    let purpose = Purpose::Link { account, session: session.id };
    scene.ask("DELETE FROM browser_sessions");
    let got = adas.come(&scene, purpose, eve()).await;
    assert_eq!((got.status, scene.count("identities")), (400, 1));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn non_verifying_identity_provider() {
    let scene = Scene::new().await;
    let mut adas = Browser::default();
    adas.come(&scene, Purpose::Account, ada()).await;
    let mut eves = Browser::default();
    let got = eves.come(&scene, authorization(), eve()).await;
    assert!(eves.question(&scene, &got).is_some());
    assert_eq!((scene.count("identities"), eves.account(&scene).await), (1, None));
    eves.go_on_as_new(&scene, &got).await;
    assert_ne!(eves.account(&scene).await, adas.account(&scene).await);
    // Ada still comes in by her address alone, into her own.
    let mut again = Browser::default();
    again.come(&scene, Purpose::Account, verified("github", "ada", Some((ADA, true)))).await;
    assert_eq!(again.account(&scene).await, adas.account(&scene).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn nobody_learns_whether_an_address_has_an_account() {
    let scene = Scene::new().await;
    let mut before = Browser::default();
    let without = before.come(&scene, Purpose::Account, eve()).await;
    Browser::default().come(&scene, Purpose::Account, ada()).await;
    let mut after = Browser::default();
    let with = after.come(&scene, Purpose::Account, eve()).await;
    assert_eq!(without.status, with.status);
    let kind = |location: &str| location.rsplit_once('/').unwrap().0.to_owned();
    assert_eq!(
        (kind(&without.location), kind(&with.location)),
        ("/linking".to_owned(), "/linking".to_owned())
    );
    // Nor by what becomes of going on.
    let (one, other) = (before.go_on_as_new(&scene, &without).await, Browser::default());
    assert_eq!((one.status, one.location.as_str()), (303, "/account"));
    assert!(other.account(&scene).await.is_none());
    assert_eq!(scene.count(&format!("accounts WHERE email = '{ADA}' AND NOT email_vouched")), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_address_that_was_given_to_somebody_else_opens_nothing() {
    let scene = Scene::new().await;
    let mut adas = Browser::default();
    adas.come(&scene, Purpose::Account, ada()).await;
    let mut successor = Browser::default();
    let got =
        successor.come(&scene, Purpose::Account, verified("google", "successor", Some((ADA, true)))).await;
    assert!(successor.question(&scene, &got).is_some());
    successor.go_on_as_new(&scene, &got).await;
    assert_ne!(successor.account(&scene).await, adas.account(&scene).await);
}
