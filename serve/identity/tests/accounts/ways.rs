//! One person, by way of each of the world's login providers.

use foundation::testing::program::Answer;
use login_providers::Provider;
use url::Url;

use crate::support::browser::Browser;
use crate::support::people;
use crate::support::stage::ISSUER;
use crate::world::{Scene, asks, at};

/// Opens the page on which people sign in by themselves; the state of its buttons.
async fn begin(browser: &mut Browser) -> String {
    people::state_of(&browser.open(&at("/sign-in")).await.text)
}

/// Presses a button, signs in there and comes back.
async fn press(scene: &Scene, browser: &mut Browser, state: &str, name: &str) -> Answer {
    let url = scene.leave(browser, state, name).await;
    let back = scene.at_provider(browser, &url, name).await;
    browser.open(&back).await
}

fn leads_to(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.header("location")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn one_person_comes_by_each_provider_and_is_one_account_where_the_rules_say_so() {
    let scene = Scene::new().await;
    let count = |of: &str| scene.stage.count(of);
    // GitHub and Apple vouch for one address: it is one account.
    for name in ["github", "apple", "github"] {
        let mut browser = scene.browser();
        let state = begin(&mut browser).await;
        assert_eq!(leads_to(&press(&scene, &mut browser, &state, name).await), "/account", "{name}");
        assert!(browser.cookie(ISSUER, "__Host-attempt-").is_none(), "{name}");
        assert!(browser.open(&at("/account")).await.text.contains("Ada Lovelace"), "{name}");
    }
    assert_eq!((count("accounts"), count("identities")), ("1".to_owned(), "2".to_owned()));
    // Microsoft vouches for nothing: the person is asked, and signs in to the account.
    let mut browser = scene.browser();
    let state = begin(&mut browser).await;
    let asked = press(&scene, &mut browser, &state, "microsoft").await;
    let question: Url = at(leads_to(&asked));
    assert!(question.path().starts_with("/linking/") && !question.path().contains(&state), "{question}");
    assert!(browser.cookie(ISSUER, "__Host-session").is_none());
    let page = browser.open(&question).await;
    assert!(page.text.contains("You came with Microsoft as ada@example.test"), "{}", page.text);
    let next = people::state_of(&page.text);
    // With somebody whom nobody knows, the question stays.
    let unknown = press(&scene, &mut browser, &next, "google").await;
    let page = browser.open(&at(leads_to(&unknown))).await;
    assert!(page.text.contains("id=\"unknown\""), "{}", page.text);
    let next = people::state_of(&page.text);
    assert_eq!(leads_to(&press(&scene, &mut browser, &next, "github").await), "/account");
    assert_eq!((count("accounts"), count("identities")), ("1".to_owned(), "3".to_owned()));
    assert!(browser.cookie(ISSUER, "__Host-arrival-").is_none());
    // From her page she adds the last one, whose address is another.
    let page = browser.open(&at("/account/link")).await;
    let state = people::state_of(&page.text);
    let linked = press(&scene, &mut browser, &state, "google").await;
    assert_eq!(leads_to(&linked), "/account?notice=linked");
    assert_eq!((count("accounts"), count("identities")), ("1".to_owned(), "4".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_refuses_or_finds_a_provider_down_reads_why_and_tries_again() {
    let mut scene = Scene::new().await;
    let mut browser = scene.browser();
    let refuses = |refuses: bool| {
        let change = serde_json::json!({"refuses": refuses});
        scene.world.change(Provider::Github, "ada", &change).unwrap();
    };
    refuses(true);
    let state = begin(&mut browser).await;
    let refused = press(&scene, &mut browser, &state, "github").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text.contains("You did not allow it"), "{}", refused.text);
    // The page has the buttons again, of an attempt of its own.
    let again = people::state_of(&refused.text);
    assert_ne!(again, state);
    refuses(false);
    assert_eq!(leads_to(&press(&scene, &mut browser, &again, "github").await), "/account");

    scene.world.stop(Provider::Google).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let mut visitor = scene.browser();
    loop {
        let page = visitor.open(&at("/sign-in")).await;
        if page.text.contains("id=\"down-google\"") {
            assert!(!page.text.contains("id=\"down-github\""), "{}", page.text);
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "it is down, and its button does not say so");
        let state = people::state_of(&page.text);
        let left = visitor.post(&at(&format!("/attempts/{state}/google")), ISSUER, &[]).await;
        let failed = match left.status.as_u16() {
            303 => visitor.open(&at(&format!("/callback/google?code=x&state={state}"))).await,
            _ => left,
        };
        assert_eq!(failed.status, 503);
        assert!(failed.text.contains("The provider does not answer"), "{}", failed.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_signs_in_again_is_asked_though_the_provider_knows_the_browser() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let state = begin(&mut browser).await;
    assert_eq!(leads_to(&press(&scene, &mut browser, &state, "google").await), "/account");
    scene
        .stage
        .servers
        .sql("UPDATE browser_sessions SET authenticated_at = now() - interval '11 minutes'", "app");
    let away = browser.open(&at("/account/delete")).await;
    let page = browser.open(&at(leads_to(&away))).await;
    assert!(page.text.contains("Sign in again"), "{}", page.text);
    let state = people::state_of(&page.text);
    // Apple has no way to be told, and asks by itself.
    for name in ["google", "github", "microsoft"] {
        let url = scene.leave(&mut browser, &state, name).await;
        assert!(asks(&browser.open(&url).await), "{name} lets in whoever sits there");
    }
    assert_eq!(leads_to(&press(&scene, &mut browser, &state, "google").await), "/account");
    assert_eq!(browser.open(&at("/account/delete")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_cannot_sign_in_to_the_existing_account_now_is_asked_still() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let state = begin(&mut browser).await;
    assert_eq!(leads_to(&press(&scene, &mut browser, &state, "github").await), "/account");
    let mut browser = scene.browser();
    let state = begin(&mut browser).await;
    let asked = press(&scene, &mut browser, &state, "microsoft").await;
    let state = people::state_of(&browser.open(&at(leads_to(&asked))).await.text);
    scene.world.change(Provider::Github, "ada", &serde_json::json!({"refuses": true})).unwrap();
    let refused = press(&scene, &mut browser, &state, "github").await;
    assert_eq!(refused.status, 403);
    for part in ["You did not allow it", "You came with Microsoft", "id=\"go-on-as-new\"", "id=\"request\""] {
        assert!(refused.text.contains(part), "{part}: {}", refused.text);
    }
    scene.world.change(Provider::Github, "ada", &serde_json::json!({"refuses": false})).unwrap();
    let state = people::state_of(&refused.text);
    assert_eq!(leads_to(&press(&scene, &mut browser, &state, "github").await), "/account");
    assert_eq!(
        (scene.stage.count("accounts"), scene.stage.count("identities")),
        ("1".to_owned(), "2".to_owned())
    );
}
