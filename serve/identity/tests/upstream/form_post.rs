//! Apple's answer by a form, without the cookie, and without a way around it.

use axum::http::Method;
use login_providers::Provider;

use crate::scene::{Scene, at, hidden};
use crate::support::browser::Browser;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_form_of_another_site_signs_nobody_in() {
    let scene = Scene::new().await;
    let apple = scene.world.origin(Provider::Apple);
    let callback = at("/callback/apple");
    // Eve has an answer of her own, and makes the victim's browser post it.
    let mut eve = scene.browser();
    let state = scene.begin(&mut eve, 1);
    let url = scene.leave(&mut eve, &state, "apple").await;
    let fields = hidden(&eve.open(&url).await.text);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut victim = scene.browser();
    scene.begin(&mut victim, 2);
    for from in ["https://evil.example", apple.as_str()] {
        let answer = victim.post(&callback, from, &fields).await;
        let next = Browser::next(&answer, &callback);
        assert!(answer.status == 303 && !next.as_str().contains(&state), "{next}");
        assert_eq!(
            (answer.header("cache-control"), answer.header("referrer-policy")),
            ("no-store", "no-referrer")
        );
        victim.open(&next).await;
    }
    assert_eq!((scene.believed(), scene.redeemed("apple")), (0, 0));
    // Her own browser goes on with it.
    let answer = eve.post(&callback, &apple, &fields).await;
    let next = Browser::next(&answer, &callback);
    eve.open(&next).await;
    assert_eq!((scene.believed(), scene.redeemed("apple")), (1, 1));
    assert!(scene.denied().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn there_is_no_other_way_to_bring_such_an_answer() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let state = scene.begin(&mut browser, 1);
    let url = scene.leave(&mut browser, &state, "apple").await;
    let fields = hidden(&browser.open(&url).await.text);
    let code = &fields.iter().find(|(name, _)| name == "code").unwrap().1;
    // Unsealed, in the address.
    browser.open(&at(&format!("/callback/apple?code={code}&state={state}"))).await;
    browser.open(&at(&format!("/callback/apple/continue?code={code}&state={state}"))).await;
    // Sealed by nobody, or for another provider.
    browser.open(&at("/callback/apple/continue?sealed=1.AAAA")).await;
    let pairs: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let callback = at("/callback/apple");
    let next = Browser::next(&browser.post(&callback, "https://apple.example", &pairs).await, &callback);
    browser.open(&at(&format!("/callback/google/continue?{}", next.query().unwrap()))).await;
    let mut changed = next.to_string();
    changed.pop();
    browser.open(&changed.parse().unwrap()).await;
    assert_eq!((scene.believed(), scene.redeemed("apple")), (0, 0));
    // Who answers by a redirect is not believed by a form.
    let google = browser.post(&at("/callback/google"), "https://google.example", &pairs).await;
    assert_eq!(google.status, 405, "{}", google.text);
    // What is no form, or too long for one.
    let body = format!("code={}", "a".repeat(64 << 10));
    let long = browser.send(Method::POST, &callback, Some("https://apple.example"), &[], &body).await;
    assert_eq!(long.status, 413, "{}", long.text);
    browser.open(&next).await;
    assert_eq!(scene.believed(), 1);
}
