//! `/account`: who may see it, what its forms do, and who may send them.

use foundation::testing::program::Answer;

use crate::support::browser::Browser;
use crate::support::people;
use crate::support::stage::ISSUER;
use crate::{SESSION, Scene, url, visitor};

fn goes_to(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.header("location").to_owned())
}

fn see(path: &str) -> (u16, String) {
    (303, path.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_page_shows_what_there_is_to_its_person_alone() {
    let mut scene = Scene::new(1).await;
    let servers = &scene.stage.servers;
    people::identity(servers, scene.account, "apple", Some("x1@privaterelay.appleid.com"));
    people::grant(servers, "app", scene.account, scene.session, "openid offline_access");
    let bob = people::account(servers, "bob");
    people::session(servers, bob, 1);
    let page = scene.open("/account").await;
    assert_eq!(page.status, 200, "{}", page.text);
    for part in [
        "ada Lovelace",
        "ada@example.test",
        "x1@privaterelay.appleid.com",
        "relay",
        "Garden planner",
        "Firefox on Linux",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(!page.text.contains("bob"));
    assert_eq!(page.text.matches("id=\"session-").count(), 1);
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    let mut stranger = visitor(&scene.stage);
    for path in ["/account", "/account/link", "/account/delete"] {
        assert_eq!(goes_to(&stranger.open(&url(path)).await), see("/sign-in"), "{path}");
    }
    assert_eq!(goes_to(&scene.open("/sign-in").await), see("/account"));
    assert_eq!(goes_to(&scene.open("/").await), see("/account"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn forms_come_from_the_page_of_the_session() {
    let mut scene = Scene::new(1).await;
    let (other, cookie) = people::session(&scene.stage.servers, scene.account, 1);
    let path = format!("/account/sessions/{other}/end");
    let end = url(&path);
    let token = people::token_of(&scene.open("/account").await.text);
    let refused = async |browser: &mut Browser, from: &str, fields: &[(&str, &str)]| {
        let answer = browser.post(&end, from, fields).await;
        assert_eq!(answer.status, 403, "{from} {fields:?}");
        assert!(answer.text.contains("That did not come from this page"), "{}", answer.text);
    };
    refused(&mut scene.browser, ISSUER, &[]).await;
    refused(&mut scene.browser, ISSUER, &[("csrf_token", "x")]).await;
    refused(&mut scene.browser, "https://evil.test", &[("csrf_token", &token)]).await;
    // A token of another session of the same person.
    let mut elsewhere = visitor(&scene.stage);
    elsewhere.plant(ISSUER, SESSION, &cookie);
    let theirs = people::token_of(&elsewhere.open(&url("/account")).await.text);
    refused(&mut scene.browser, ISSUER, &[("csrf_token", &theirs)]).await;
    assert_eq!(scene.stage.count("browser_sessions"), "2");
    let good = scene.browser.post(&end, ISSUER, &[("csrf_token", &token)]).await;
    assert_eq!(goes_to(&good), see("/account?notice=ended"));
    assert_eq!(scene.stage.count("browser_sessions"), "1");
    // Whoever is signed out hears that, and nothing is done.
    let gone = elsewhere.post(&end, ISSUER, &[("csrf_token", &theirs)]).await;
    assert_eq!(gone.status, 401);
    assert!(gone.text.contains("You are signed out"), "{}", gone.text);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn nobody_ends_what_is_somebody_elses() {
    let mut scene = Scene::new(1).await;
    let servers = &scene.stage.servers;
    let bob = people::account(servers, "bob");
    let (session, _) = people::session(servers, bob, 1);
    let identity = people::identity(servers, bob, "github", None);
    people::grant(servers, "app", bob, session, "openid");
    scene.send(&format!("/account/sessions/{session}/end"), &[]).await;
    scene.send("/account/grants/revoke", &[("client_id", "app")]).await;
    let answer = scene.send(&format!("/account/identities/{identity}/unlink"), &[]).await;
    assert_eq!(answer.status, 404);
    assert_eq!(scene.stage.count("browser_sessions"), "2");
    assert_eq!(scene.stage.count("identities"), "3");
    assert_eq!(scene.stage.count("grants WHERE ended_at IS NULL"), "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn identities_sessions_and_grants_end_by_their_buttons() {
    let mut scene = Scene::new(1).await;
    let servers = &scene.stage.servers;
    let github = people::identity(servers, scene.account, "github", None);
    for _ in 0..2 {
        let (session, _) = people::session(servers, scene.account, 1);
        people::grant(servers, "quiet", scene.account, session, "openid");
    }
    // An intruder's, for the time when nobody is there.
    servers.sql("UPDATE grants SET scope = 'openid offline_access'", "app");
    people::grant(servers, "quiet", scene.account, scene.session, "openid");
    assert_eq!(goes_to(&scene.send("/account/sessions/end", &[]).await), see("/account?notice=ended"));
    assert_eq!(scene.stage.count("browser_sessions"), "1");
    assert_eq!(scene.stage.count("grants WHERE ended_because = 'revoked'"), "2");
    let revoked = scene.send("/account/grants/revoke", &[("client_id", "quiet")]).await;
    assert_eq!(goes_to(&revoked), see("/account?notice=revoked"));
    assert_eq!(scene.stage.count("grants WHERE ended_because = 'revoked'"), "3");
    let unlinked = scene.send(&format!("/account/identities/{github}/unlink"), &[]).await;
    assert_eq!(goes_to(&unlinked), see("/account?notice=unlinked"));
    let google = scene.stage.servers.sql("SELECT id FROM identities", "app");
    let last = scene.send(&format!("/account/identities/{google}/unlink"), &[]).await;
    assert_eq!(goes_to(&last), see("/account?notice=last"));
    let page = scene.open("/account?notice=last").await;
    assert!(page.text.contains("That is the only way in, so it stays."), "{}", page.text);
    let actions = "SELECT string_agg(DISTINCT action, ' ' ORDER BY action) FROM audit_events WHERE actor_kind = 'person'";
    assert_eq!(scene.stage.servers.sql(actions, "app"), "grant.revoke identity.unlink session.end");
    // Signing out takes the cookie away.
    let out = scene.send("/account/sign-out", &[]).await;
    assert_eq!(out.status, 200);
    assert!(scene.browser.cookie(ISSUER, SESSION).is_none());
    assert_eq!(scene.stage.count("browser_sessions"), "0");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_changes_who_gets_in_needs_a_recent_sign_in() {
    let mut scene = Scene::new(11).await;
    let github = people::identity(&scene.stage.servers, scene.account, "github", None);
    let again = see("/sign-in?again=true");
    assert_eq!(goes_to(&scene.open("/account/link").await), again);
    assert_eq!(goes_to(&scene.open("/account/delete").await), again);
    assert_eq!(goes_to(&scene.send(&format!("/account/identities/{github}/unlink"), &[]).await), again);
    let deleted = scene.send("/account/delete", &[("confirmation", "delete my account")]).await;
    assert_eq!(goes_to(&deleted), again);
    assert_eq!(scene.stage.count("identities"), "2");
    let page = scene.open("/sign-in?again=true").await;
    assert!(
        page.text.contains("Sign in again") && page.text.contains("id=\"sign-in-google\""),
        "{}",
        page.text
    );
    // What does not, does not.
    assert_eq!(goes_to(&scene.send("/account/sessions/end", &[]).await), see("/account?notice=ended"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_account_is_deleted_by_whoever_says_so_in_words() {
    let mut scene = Scene::new(1).await;
    people::grant(&scene.stage.servers, "app", scene.account, scene.session, "openid");
    let page = scene.open("/account/delete").await;
    assert!(
        page.text.contains("with the network addresses and browsers"),
        "what stays is said: {}",
        page.text
    );
    for wrong in ["", "delete", "delete my accounts"] {
        let answer = scene.send("/account/delete", &[("confirmation", wrong)]).await;
        assert_eq!(answer.status, 422, "{wrong}");
        assert!(answer.text.contains("Nothing was deleted"), "{}", answer.text);
    }
    assert_eq!(scene.stage.count("accounts"), "1");
    let answer = scene.send("/account/delete", &[("confirmation", " Delete my account ")]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains("The account is deleted"), "{}", answer.text);
    for table in ["accounts", "identities", "browser_sessions", "grants"] {
        assert_eq!(scene.stage.count(table), "0", "{table}");
    }
    assert_ne!(scene.stage.count("audit_events WHERE address IS NOT NULL AND actor_id IS NOT NULL"), "0");
    assert_eq!(goes_to(&scene.open("/account").await), see("/sign-in"));
    assert!(scene.browser.cookie(ISSUER, SESSION).is_none());
}
