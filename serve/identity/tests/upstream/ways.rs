//! The way to each provider and back, and who may begin it.

use std::time::Duration;

use axum::http::Method;
use login_providers::{Fault, Provider};

use crate::scene::{NAMES, Scene, at};
use crate::support::stage::ISSUER;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn somebody_leaves_for_each_provider_and_comes_back() {
    let scene = Scene::new().await;
    for (nth, name) in NAMES.into_iter().enumerate() {
        let mut browser = scene.browser();
        let (back, _) = scene.signs_in(&mut browser, u8::try_from(nth).unwrap(), name).await;
        assert_eq!(scene.believed(), nth + 1, "{name}");
        // What is in the address is worth nothing in another browser.
        scene.browser().open(&back).await;
        assert_eq!((scene.believed(), scene.redeemed(name)), (nth + 1, 1), "{name}");
    }
    assert!(scene.denied().is_empty());
    let metrics = scene.stage.issuer.metrics().await;
    for line in [
        "identity_login_provider_up{provider=\"google\"} 1",
        "identity_credential_days_left{provider=\"github\",credential=\"secret\"} ",
        "identity_credential_days_left{provider=\"apple\",credential=\"client-secret\"} ",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn only_the_issuers_own_page_sends_a_browser_away_with_what_protects_it() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let state = scene.begin(&mut browser, 1);
    let planted = browser.cookie(ISSUER, "__Host-attempt-").unwrap().to_owned();
    let button = at(&format!("/attempts/{state}/google"));
    let crossed = browser.post(&button, "https://evil.example", &[]).await;
    assert_eq!(crossed.status, 403, "{}", crossed.text);
    assert_eq!(browser.send(Method::POST, &button, None, &[], "").await.status, 403);
    assert_eq!(browser.open(&button).await.status, 405);
    assert_eq!(browser.cookie(ISSUER, "__Host-attempt-"), Some(planted.as_str()));
    assert_eq!(browser.post(&at(&format!("/attempts/{state}/nobody")), ISSUER, &[]).await.status, 404);
    // Of another browser, or of none.
    let stranger = scene.browser().post(&button, ISSUER, &[]).await;
    assert!(stranger.status != 303 && stranger.header("location").is_empty());

    let answer = browser.post(&button, ISSUER, &[]).await;
    let url: url::Url = answer.header("location").parse().unwrap();
    let parameters: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(parameters["state"], state);
    assert_eq!(parameters["redirect_uri"], format!("{ISSUER}/callback/google"));
    assert_eq!((parameters["code_challenge"].len(), parameters["nonce"].len()), (43, 43));
    assert_eq!(answer.header("cache-control"), "no-store");
    let cookie = answer.header("set-cookie");
    for part in ["__Host-attempt-", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    // What one departure asked is not asked by the next.
    let again = scene.leave(&mut browser, &state, "google").await;
    let nonce = again.query_pairs().find(|(name, _)| name == "nonce").unwrap().1.into_owned();
    assert_ne!(nonce, parameters["nonce"]);
    let first = scene.at_provider(&mut browser, &url, "google").await;
    browser.open(&first).await;
    assert_eq!((scene.believed(), scene.denied()), (0, vec!["google code-refused".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_provider_that_is_down_or_slow_slows_no_other() {
    let mut scene = Scene::new().await;
    let mut browser = scene.browser();
    let state = scene.begin(&mut browser, 1);
    // Known before, so that leaving needs nobody.
    scene.leave(&mut browser, &state, "google").await;
    scene.world.does_wrong(Provider::Microsoft, Some(Fault::Slow { milliseconds: 60_000 }));
    scene.world.stop(Provider::Google).await;
    let mut waiting = scene.browser();
    let state = scene.begin(&mut waiting, 2);
    let url = scene.leave(&mut waiting, &state, "microsoft").await;
    let back = at(&format!("/callback/microsoft?code=x&state={state}"));
    drop(url);
    let started = tokio::time::Instant::now();
    let (slow, other) = tokio::join!(
        async {
            let answer = waiting.open(&back).await;
            (answer.status, started.elapsed())
        },
        async {
            scene.signs_in(&mut browser, 3, "github").await;
            (scene.believed(), started.elapsed())
        }
    );
    assert!(other.0 == 1 && other.1 < Duration::from_secs(4), "{:?}", other.1);
    assert!(slow.1 >= Duration::from_secs(4) && slow.1 < Duration::from_secs(20), "{:?}", slow.1);
    assert!(scene.denied().is_empty(), "a failure of a machine denies nobody");
    // After some attempts in vain it is known to be down, and nobody waits for it.
    let up = async |is_up: bool| {
        let metrics = scene.stage.issuer.metrics().await;
        assert!(metrics.contains("identity_login_provider_up{provider=\"github\"} 1"), "{metrics}");
        metrics.contains(&format!("identity_login_provider_up{{provider=\"google\"}} {}", u8::from(is_up)))
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !up(false).await {
        assert!(tokio::time::Instant::now() < deadline, "it is down, and nobody has noticed");
        let mut browser = scene.browser();
        let state = scene.begin(&mut browser, 4);
        browser.post(&at(&format!("/attempts/{state}/google")), ISSUER, &[]).await;
        browser.open(&at(&format!("/callback/google?code=x&state={state}"))).await;
    }
    scene.world.start_again(Provider::Google).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !up(true).await {
        assert!(tokio::time::Instant::now() < deadline, "it answers again, and nobody has noticed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
