//! What ends: identities, sessions, accounts; and an operator's way in.

use axum::http::StatusCode;
use foundation::audit::Origin;
use foundation::clock::SystemRandomness;
use foundation::write::idempotency::Answer;
use uuid::Uuid;

use super::scene::{Browser, Scene, verified};
use crate::accounts::unlink::{Unlinked, unlink};
use crate::accounts::{Notification, delete, recovery};
use crate::attempt::Purpose;

const ADA: &str = "ada@example.test";
const RELAY: &str = "x1y2@privaterelay.appleid.com";

/// Ada, with an identity at Google and one at Apple, in a browser each.
async fn ada(scene: &Scene) -> (Browser, Browser) {
    let (mut google, mut apple) = (Browser::default(), Browser::default());
    google.come(scene, Purpose::Account, verified("google", "1", Some((ADA, true)))).await;
    let session = google.session(scene).await.unwrap();
    let purpose = Purpose::Link { account: session.account, session: session.id };
    google.come(scene, purpose, verified("apple", "a", Some((RELAY, true)))).await;
    apple.come(scene, Purpose::Account, verified("apple", "a", Some((RELAY, true)))).await;
    assert_eq!(google.account(scene).await, apple.account(scene).await);
    scene.ask("DELETE FROM errands");
    (google, apple)
}

async fn take_away(scene: &Scene, browser: &Browser, identity: Uuid) -> Unlinked {
    let broker = &scene.broker;
    let mut unit = broker.writes.begin_without_key(&Origin::of(None, &scene.context())).await.unwrap();
    let session = browser.session(scene).await.unwrap();
    let unlinked = unlink(broker, &mut unit, &session, identity).await.unwrap();
    unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.unwrap();
    unlinked
}

fn identity(scene: &Scene, provider: &str) -> Uuid {
    scene.ask(&format!("SELECT id FROM identities WHERE provider = '{provider}'")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_identity_leaves_with_what_began_with_it_and_never_the_last() {
    let scene = Scene::new().await;
    let (google, apple) = ada(&scene).await;
    let begun = apple.session(&scene).await.unwrap();
    scene.grant("app", begun.account, begun.id, "openid");
    scene.grant("quiet", begun.account, begun.id, "openid");
    assert_eq!(take_away(&scene, &google, identity(&scene, "apple")).await, Unlinked::Done);
    assert_eq!((scene.count("identities"), scene.count("upstream_grants")), (1, 1));
    assert!(google.session(&scene).await.is_some() && apple.session(&scene).await.is_none());
    assert_eq!(scene.count("grants WHERE ended_at IS NULL"), 0);
    // The client that wants to know is told of the session.
    let told =
        "SELECT (payload->>'client_id') || ' ' || (payload->>'session') FROM errands WHERE kind <> 'mail'";
    assert_eq!(scene.ask(told), format!("app {}", begun.id));
    assert_eq!(scene.letters(), [format!("identity_left {ADA}")]);
    assert_eq!(take_away(&scene, &google, identity(&scene, "google")).await, Unlinked::Last);
    assert_eq!(scene.count("identities"), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_address_is_not_vouched_for_without_its_identity() {
    let scene = Scene::new().await;
    let (google, _) = ada(&scene).await;
    take_away(&scene, &google, identity(&scene, "google")).await;
    assert_eq!(scene.ask("SELECT email || ' ' || email_vouched FROM accounts"), format!("{RELAY} true"));
    // Whoever has the old address next does not get the account with it.
    let mut next = Browser::default();
    next.come(&scene, Purpose::Account, verified("github", "9", Some((ADA, true)))).await;
    assert_ne!(next.account(&scene).await, google.account(&scene).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn apples_notifications_do_what_they_say() {
    let scene = Scene::new().await;
    let (google, apple) = ada(&scene).await;
    scene.notify("apple", "a", Notification::EmailDisabled).await;
    assert_eq!(scene.ask("SELECT email_vouched FROM identities WHERE provider = 'apple'"), "f");
    scene.notify("apple", "a", Notification::EmailEnabled).await;
    assert_eq!(scene.ask("SELECT email_vouched FROM identities WHERE provider = 'apple'"), "t");
    scene.notify("apple", "a", Notification::ConsentRevoked).await;
    assert!(google.session(&scene).await.is_some() && apple.session(&scene).await.is_none());
    assert_eq!((scene.count("identities"), scene.count("upstream_grants")), (2, 1));
    scene.notify("apple", "nobody", Notification::AccountDeleted).await;
    assert_eq!(scene.count("identities"), 2);
    scene.notify("apple", "a", Notification::AccountDeleted).await;
    assert_eq!((scene.count("identities"), scene.count("accounts")), (1, 1));
    assert_eq!(scene.letters(), [format!("identity_left {ADA}")]);
    let actor = "SELECT DISTINCT actor_kind FROM audit_events WHERE action LIKE 'identity.%' AND action <> 'identity.link'";
    assert_eq!(scene.ask(actor), "system");

    // Who had nothing else is gone.
    let mut alone = Browser::default();
    alone.come(&scene, Purpose::Account, verified("apple", "b", Some((RELAY, true)))).await;
    scene.notify("apple", "b", Notification::EmailDisabled).await;
    assert_eq!(scene.count(&format!("accounts WHERE email = '{RELAY}' AND NOT email_vouched")), 1);
    scene.notify("apple", "b", Notification::AccountDeleted).await;
    assert_eq!((scene.count("accounts"), alone.account(&scene).await), (1, None));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn deletion_leaves_nothing() {
    let scene = Scene::new().await;
    let (google, _) = ada(&scene).await;
    let session = google.session(&scene).await.unwrap();
    scene.grant("app", session.account, session.id, "openid offline_access");
    scene.ask(
        "INSERT INTO codes (hash, grant_id, redirect_uri, expires_at) SELECT sha256('c'), id, 'https://x', now() FROM grants; \
         INSERT INTO issued_tokens (hash, grant_id, kind, scope, created_at, expires_at) \
         SELECT sha256('t'), id, 'refresh', 'openid', now(), now() FROM grants; \
         INSERT INTO recoveries SELECT sha256('x'), id, now(), now() + interval '1 hour' FROM accounts",
    );
    let broker = &scene.broker;
    let mut unit = broker.writes.begin_without_key(&Origin::of(None, &scene.context())).await.unwrap();
    delete::delete(broker, &mut unit, session.account).await.unwrap();
    unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.unwrap();
    for table in [
        "accounts",
        "identities",
        "upstream_grants",
        "browser_sessions",
        "recoveries",
        "grants",
        "codes",
        "issued_tokens",
    ] {
        assert_eq!(scene.count(table), 0, "{table}");
    }
    assert_eq!(scene.letters(), [format!("account_deleted {ADA}")]);
    assert_eq!(scene.count("errands WHERE kind = 'back_channel_logout'"), 1);
    // What stays says that there was somebody, and not who.
    let log = scene.ask("SELECT string_agg(to_jsonb(a)::text, ' ') FROM audit_events a");
    let words = log.to_lowercase();
    let mut words = words.split(|character: char| !character.is_alphanumeric());
    assert!(log.contains("account.delete") && words.all(|word| word != "ada"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_operators_link_works_once_and_in_time() {
    let scene = Scene::new().await;
    let (google, _) = ada(&scene).await;
    let account = google.account(&scene).await.unwrap();
    let broker = &scene.broker;
    let begin =
        async || broker.writes.begin_without_key(&Origin::of_system(None, "r".to_owned())).await.unwrap();
    let make = async |user: &str| {
        let mut unit = begin().await;
        let found = recovery::find(&unit, user).await.unwrap().unwrap();
        let link = recovery::make(&mut unit, &found, &SystemRandomness);
        unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.unwrap();
        link.secret
    };
    let redeem = async |secret: &str| {
        let mut unit = begin().await;
        let account = recovery::redeem(&mut unit, secret).await.ok()?;
        unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.unwrap();
        Some(account)
    };
    let secret = make(ADA).await;
    assert_eq!(scene.count(&format!("recoveries r WHERE to_jsonb(r)::text LIKE '%{secret}%'")), 0);
    assert_eq!(redeem(&"A".repeat(43)).await, None);
    assert_eq!(redeem(&secret).await, Some(account));
    assert_eq!(redeem(&secret).await, None);
    assert_eq!(scene.letters(), [format!("recovery_made {ADA}"), format!("recovery_used {ADA}")]);
    let late = make(&account.to_string()).await;
    scene.advance(900);
    assert_eq!(redeem(&late).await, None);

    // An address that two have names nobody.
    let mut other = Browser::default();
    let got = other.come(&scene, Purpose::Account, verified("google", "2", Some((ADA, true)))).await;
    other.go_on_as_new(&scene, &got).await;
    let unit = begin().await;
    let unclear = recovery::find(&unit, ADA).await.unwrap().unwrap_err().to_string();
    assert!(unclear.contains("2 accounts") && unclear.contains(&account.to_string()), "{unclear}");
    assert!(recovery::find(&unit, "nobody@example.test").await.unwrap().is_err());
}
