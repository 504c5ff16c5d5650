//! Who comes back from a login provider: known, new, joined or asked.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use foundation::audit::Origin;
use foundation::write::idempotency::Answer;

use super::scene::{Browser, Got, Scene, authorization, verified};
use crate::accounts::Notification;
use crate::accounts::store::Account;
use crate::attempt::Purpose;
use crate::upstream::Verified;

const ADA: &str = "ada@example.test";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn somebody_new_gets_an_account_and_is_known_the_next_time() {
    let scene = Scene::new().await;
    let mut browser = Browser::default();
    let got = browser.come(&scene, authorization(), verified("google", "1", Some((ADA, true)))).await;
    assert_eq!(got.status, 303);
    assert!(got.location.starts_with("https://app.example.test/callback?code="), "{}", got.location);
    let account = browser.account(&scene).await.unwrap();
    assert_eq!(
        scene.ask("SELECT email || ' ' || email_vouched || ' ' || given_name FROM accounts"),
        format!("{ADA} true Ada")
    );
    assert_eq!(scene.count("audit_events WHERE action = 'account.create' AND actor_kind = 'person'"), 1);
    // Tokens are kept sealed, and nowhere else.
    assert_eq!(scene.count("upstream_grants"), 1);
    assert_eq!(scene.count("upstream_grants WHERE position('access-of' in encode(sealed, 'escape')) > 0"), 0);

    scene.advance(60);
    let mut other = Browser::default();
    let got = other.come(&scene, Purpose::Account, verified("google", "1", Some((ADA, true)))).await;
    assert_eq!((got.status, got.location.as_str()), (303, "/account"));
    assert_eq!(other.account(&scene).await, Some(account));
    assert_eq!((scene.count("accounts"), scene.count("identities")), (1, 1));
    assert_eq!(scene.ask("SELECT last_used_at - created_at FROM identities"), "00:01:00");
    assert!(scene.letters().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn two_vouched_addresses_are_one_account_and_the_person_is_told() {
    let scene = Scene::new().await;
    let (mut first, mut second) = (Browser::default(), Browser::default());
    first.come(&scene, Purpose::Account, verified("google", "1", Some((ADA, true)))).await;
    scene
        .ask("INSERT INTO recoveries SELECT sha256('x'), id, now(), now() + interval '1 hour' FROM accounts");
    second.come(&scene, Purpose::Account, verified("github", "7", Some(("Ada@Example.test", true)))).await;
    assert_eq!(second.account(&scene).await, first.account(&scene).await);
    assert_eq!((scene.count("accounts"), scene.count("identities")), (1, 2));
    assert_eq!(scene.letters(), [format!("identity_joined {ADA}")]);
    assert_eq!(
        scene.ask("SELECT changes::text FROM audit_events WHERE action = 'identity.link'"),
        r#"{"because": [null, "vouched"], "provider": [null, "github"]}"#
    );
    // What the person owns stays, and what nobody needs any more does not.
    assert_eq!((scene.count("browser_sessions"), scene.count("recoveries")), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn where_every_join_asks_none_is_made_without_the_person() {
    let scene = Scene::with("linking = \"ask\"").await;
    let mut browser = Browser::default();
    browser.come(&scene, Purpose::Account, verified("google", "1", Some((ADA, true)))).await;
    let got = browser.come(&scene, authorization(), verified("github", "7", Some((ADA, true)))).await;
    let question = browser.question(&scene, &got).expect("a question");
    assert_eq!(scene.count("identities"), 1);

    // Somebody who came with yet another identity that nobody knows is asked again.
    let again = browser.come_with(&scene, question, verified("microsoft", "t:o", None)).await;
    let question = browser.question(&scene, &again).expect("the question again");
    assert_eq!(scene.count("identities"), 1);
    let got = browser.come_with(&scene, question, verified("google", "1", Some((ADA, true)))).await;
    assert!(got.location.starts_with("https://app.example.test/callback?code="), "{}", got.location);
    assert_eq!(scene.account_of("github", "7"), scene.account_of("google", "1"));
    assert_eq!(
        scene.ask("SELECT changes->'because' FROM audit_events WHERE action = 'identity.link'"),
        r#"[null, "asked"]"#
    );
    assert_eq!(scene.letters(), [format!("identity_joined {ADA}")]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_identity_is_linked_from_the_session_that_asked_for_it() {
    let scene = Scene::new().await;
    let (mut ada, mut bob) = (Browser::default(), Browser::default());
    ada.come(&scene, Purpose::Account, verified("google", "1", Some((ADA, true)))).await;
    bob.come(&scene, Purpose::Account, verified("google", "2", Some(("bob@example.test", true)))).await;
    let of = |session: crate::session::BrowserSession| Purpose::Link {
        account: session.account,
        session: session.id,
    };
    let purpose = of(ada.session(&scene).await.unwrap());

    // An unvouched address does not matter: the person is there.
    let got =
        ada.come(&scene, purpose.clone(), verified("microsoft", "t:o", Some(("eve@x.test", false)))).await;
    assert_eq!(got.location, "/account?notice=linked");
    assert_eq!(scene.account_of("microsoft", "t:o"), scene.account_of("google", "1"));
    assert_eq!(scene.ask("SELECT email FROM accounts WHERE email LIKE 'ada%'"), ADA);
    // Nobody else's identity can be had.
    let got = ada.come(&scene, purpose.clone(), verified("google", "2", None)).await;
    assert_eq!(got.location, "/account?notice=taken");
    assert_ne!(scene.account_of("google", "2"), scene.account_of("google", "1"));
    // And in another browser, or without the session, nothing is linked.
    for browser in [&mut bob, &mut Browser::default()] {
        let got = browser.come(&scene, purpose.clone(), verified("github", "7", None)).await;
        assert_eq!(got.status, 400);
    }
    assert_eq!(scene.count("identities"), 3);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_comes_twice_at_once_is_one() {
    let scene = Scene::new().await;
    let (mut first, mut second) = (Browser::default(), Browser::default());
    let (mut third, mut fourth) = (Browser::default(), Browser::default());
    let person = |provider: &str| verified(provider, "1", Some((ADA, true)));
    tokio::join!(
        first.come(&scene, Purpose::Account, person("google")),
        second.come(&scene, Purpose::Account, person("google")),
        third.come(&scene, Purpose::Account, person("github")),
        fourth.come(&scene, Purpose::Account, person("github")),
    );
    assert_eq!((scene.count("accounts"), scene.count("identities")), (1, 2));
    let account = first.account(&scene).await;
    for browser in [&second, &third, &fourth] {
        assert_eq!(browser.account(&scene).await, account);
    }
}

/// Comes back as this person while somebody else has the account to itself, who does this to it first.
async fn comes_meanwhile(
    scene: &Scene,
    browser: &mut Browser,
    (purpose, person): (Purpose, Verified),
    sql: &'static str,
) -> Got {
    let origin = Origin::of_system(None, "test".to_owned());
    let unit = scene.broker.writes.begin_without_key(&origin).await.unwrap();
    let account: uuid::Uuid = scene.ask("SELECT id FROM accounts ORDER BY id LIMIT 1").parse().unwrap();
    Account::alone(&unit.transaction, account).await.unwrap();
    let meanwhile = async {
        let started = Instant::now();
        while scene.count("pg_stat_activity WHERE wait_event_type = 'Lock'") == 0 {
            assert!(started.elapsed() < Duration::from_secs(30), "it does not wait for the account");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        unit.transaction.query(sql, &[]).await.unwrap();
        unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.unwrap();
    };
    tokio::join!(browser.come(scene, purpose, person), meanwhile).0
}

/// Somebody whom Google knows, in a browser.
async fn of_google(scene: &Scene) -> Browser {
    let mut browser = Browser::default();
    browser.come(scene, Purpose::Account, verified("google", "1", Some((ADA, true)))).await;
    browser
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_waits_to_join_by_an_address_does_not_once_nobody_vouches_for_it() {
    let scene = Scene::new().await;
    of_google(&scene).await;
    let mut other = Browser::default();
    let comes = (Purpose::Account, verified("github", "7", Some((ADA, true))));
    let sql = "UPDATE accounts SET email_vouched = false";
    let got = comes_meanwhile(&scene, &mut other, comes, sql).await;
    assert!(other.question(&scene, &got).is_some(), "{}", got.location);
    assert_eq!(scene.count("identities"), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_waits_to_come_in_with_an_identity_does_not_once_it_is_removed() {
    let scene = Scene::new().await;
    of_google(&scene).await;
    let mut late = Browser::default();
    let comes = (Purpose::Account, verified("google", "1", Some((ADA, true))));
    let got = comes_meanwhile(&scene, &mut late, comes, "DELETE FROM identities").await;
    assert_eq!((got.status, late.account(&scene).await), (400, None));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_waits_to_link_does_not_once_the_session_has_ended() {
    let scene = Scene::new().await;
    let mut browser = of_google(&scene).await;
    let session = browser.session(&scene).await.unwrap();
    let purpose = Purpose::Link { account: session.account, session: session.id };
    let comes = (purpose, verified("github", "8", None));
    let got = comes_meanwhile(&scene, &mut browser, comes, "DELETE FROM browser_sessions").await;
    assert_eq!((got.status, scene.count("identities")), (400, 1));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_ends_the_own_session_by_joining_is_signed_in_all_the_same() {
    let scene = Scene::new().await;
    let mut browser = Browser::default();
    let got = browser.come(&scene, Purpose::Account, verified("microsoft", "t:o", Some((ADA, false)))).await;
    browser.go_on_as_new(&scene, &got).await;
    let account = browser.account(&scene).await;
    // Somebody new for whom GitHub vouches; it is the same person, who signs in to the account and so ends its sessions.
    let got = browser.come(&scene, Purpose::Account, verified("github", "7", Some((ADA, true)))).await;
    let question = browser.question(&scene, &got).expect("a question");
    browser.come_with(&scene, question, verified("microsoft", "t:o", Some((ADA, false)))).await;
    assert_eq!((browser.account(&scene).await, scene.count("browser_sessions")), (account, 1));
    assert_eq!(scene.count("accounts WHERE email_vouched"), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_an_account_says_follows_its_identity_and_the_person_is_told() {
    let scene = Scene::new().await;
    let mut browser = Browser::default();
    browser.come(&scene, Purpose::Account, verified("google", "1", Some((ADA, true)))).await;
    browser.come(&scene, Purpose::Account, verified("google", "1", Some(("ada@new.test", true)))).await;
    assert_eq!(scene.ask("SELECT email || ' ' || email_vouched FROM accounts"), "ada@new.test true");
    assert_eq!(
        scene.letters(),
        [format!("address_changed {ADA}"), "address_changed ada@new.test".to_owned()]
    );
    browser.come(&scene, Purpose::Account, verified("google", "1", Some(("ada@new.test", false)))).await;
    assert_eq!(scene.ask("SELECT email || ' ' || email_vouched FROM accounts"), "ada@new.test false");
    assert_eq!(scene.ask("SELECT email_vouched FROM identities"), "f");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_cannot_be_kept_is_left_out_or_refused() {
    let scene = Scene::new().await;
    let mut browser = Browser::default();
    let got = browser.come(&scene, Purpose::Account, verified("google", &"1".repeat(256), None)).await;
    assert_eq!((got.status, scene.count("accounts")), (400, 0));
    let mut long = verified("google", "1", Some(("a\0@example.test", true)));
    (long.given_name, long.picture) = (Some("A".repeat(201)), Some("http://plain.test/".to_owned()));
    browser.come(&scene, Purpose::Account, long).await;
    assert_eq!(scene.count("accounts WHERE email IS NULL AND given_name IS NULL AND picture IS NULL"), 1);
}

/// Somebody of Apple, whose address nobody vouches for; the name is said the first time.
fn of_apple(says_name: bool) -> Verified {
    let mut person = verified("apple", "a", Some((ADA, false)));
    if !says_name {
        (person.given_name, person.family_name) = (None, None);
    }
    person
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_name_that_is_said_once_outlives_a_question_that_nobody_answers() {
    let scene = Scene::new().await;
    let mut first = Browser::default();
    let got = first.come(&scene, Purpose::Account, of_apple(true)).await;
    assert!(first.question(&scene, &got).is_some());
    assert_eq!((scene.count("told_names"), scene.count("accounts")), (1, 0));
    // The window is closed; another day, in another browser.
    let mut second = Browser::default();
    let got = second.come(&scene, Purpose::Account, of_apple(false)).await;
    second.go_on_as_new(&scene, &got).await;
    assert_eq!(scene.ask("SELECT given_name || ' ' || family_name FROM accounts"), "Ada Lovelace");
    assert_eq!(scene.count("told_names"), 0);
    // What others say comes again, and is not kept; and what is never asked for ends.
    first.come(&scene, Purpose::Account, verified("microsoft", "t:o", Some((ADA, false)))).await;
    assert_eq!(scene.count("told_names"), 0);
    let other = Verified { subject: "b".to_owned(), ..of_apple(true) };
    first.come(&scene, Purpose::Account, other.clone()).await;
    scene.notify("apple", "b", Notification::AccountDeleted).await;
    assert_eq!(scene.count("told_names"), 0);
    first.come(&scene, Purpose::Account, other).await;
    scene.advance(30 * 86_400);
    crate::provider::sweep::sweep(&scene.broker).await;
    assert_eq!(scene.count("told_names"), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_name_that_is_said_once_outlives_a_failure_of_the_database() {
    let scene = Scene::new().await;
    let mut browser = Browser::default();
    scene.ask("ALTER TABLE identities RENAME TO elsewhere");
    let got = browser.come(&scene, Purpose::Account, of_apple(true)).await;
    assert!(got.status >= 500, "{}", got.status);
    scene.ask("ALTER TABLE elsewhere RENAME TO identities");
    let got = browser.come(&scene, Purpose::Account, of_apple(false)).await;
    browser.go_on_as_new(&scene, &got).await;
    assert_eq!(scene.ask("SELECT given_name || ' ' || family_name FROM accounts"), "Ada Lovelace");
    assert!(!browser.headers().values().any(|value| value.to_str().unwrap().contains("__Host-told")));
}
