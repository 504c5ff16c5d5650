use std::time::Duration;

use login_providers::{Fault, Provider};
use serde_json::json;
use tokio::time::Instant;

use crate::scene::{Scene, encoded, good, returned};
use crate::support::browser::Browser;
use crate::support::people::state_of;
use crate::support::stage::ISSUER;
use crate::tries_again;
use crate::world::at;

const SAYS: &str = "The provider does not answer";

/// Presses a provider's button until somebody is in: one that was down is left alone for a while.
async fn works_again(scene: &Scene, browser: &mut Browser, provider: &str) {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let state = scene.begun(browser).await;
        let button = at(&format!("/attempts/{state}/{provider}"));
        let mut answer = browser.post(&button, ISSUER, &[]).await;
        if answer.status == 303 {
            let url = Browser::next(&answer, &button);
            let back = scene.at_provider(browser, &url, provider).await;
            answer = browser.open(&back).await;
        }
        if answer.status == 303 {
            return assert_eq!(answer.header("location"), "/account");
        }
        tries_again(&answer, 503, SAYS);
        assert!(Instant::now() < deadline, "it answers again, and nobody is let in");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_provider_goes_down_while_somebody_is_there() {
    let mut scene = Scene::new().await;
    let mut browser = scene.browser();
    let page = browser.open(&at(&format!("/authorize?{}", encoded(&good(&[]))))).await;
    let back = scene.returns(&mut browser, &state_of(&page.text), "google").await;
    scene.world.stop(Provider::Google).await;
    let state = tries_again(&browser.open(&back).await, 503, SAYS);
    // By another one the person gets to where they wanted to go.
    scene.awaits("github", "ada", &json!({}));
    let answer = scene.press(&mut browser, &state, "github").await;
    assert_eq!(returned(&answer, "state"), "the state");
    assert_eq!(scene.redeem(&returned(&answer, "code"), &[]).await.status, 200);
    scene.world.start_again(Provider::Google).await.unwrap();
    works_again(&scene, &mut scene.browser(), "google").await;
    assert!(scene.denied().is_empty(), "a failure of a machine denies nobody");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_provider_answers_slowly_wrongly_or_not_at_all() {
    let scene = Scene::new().await;
    for fault in [Fault::Slow { milliseconds: 60_000 }, Fault::Down, Fault::Nonsense, Fault::TooLong] {
        let mut browser = scene.browser();
        works_again(&scene, &mut browser, "google").await;
        let state = scene.begun(&mut browser).await;
        let back = scene.returns(&mut browser, &state, "google").await;
        scene.world.does_wrong(Provider::Google, Some(fault.clone()));
        let started = Instant::now();
        tries_again(&browser.open(&back).await, 503, SAYS);
        assert!(started.elapsed() < Duration::from_secs(10), "{fault:?}: nobody waits for long");
        scene.world.does_wrong(Provider::Google, None);
        works_again(&scene, &mut browser, "google").await;
    }
}
