//! Answers of login providers that are not the answer to what this browser has asked.

use login_providers::{Fault, Provider};

use crate::scene::{SESSION, Scene};
use crate::support::browser::Browser;
use crate::support::stage::ISSUER;
use crate::world::{at, hidden};

/// The code in the address of an answer.
fn code_of(back: &url::Url) -> String {
    back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn wrong_or_missing_state() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let state = scene.begun(&mut browser).await;
    let back = scene.returns(&mut browser, &state, "google").await;
    let code = code_of(&back);
    for query in [
        format!("code={code}"),
        format!("code={code}&state="),
        format!("code={code}&state={}", "A".repeat(43)),
        format!("code={code}&state={state}&state={state}"),
    ] {
        let answer = browser.open(&at(&format!("/callback/google?{query}"))).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text.contains("id=\"start\""), "it begins anew: {}", answer.text);
    }
    // The right one, in a browser that has not begun it.
    assert_eq!(scene.browser().open(&back).await.status, 400);
    assert_eq!((scene.believed(), scene.redeemed("google")), (0, 0), "and nobody was asked");
    assert!(browser.cookie(ISSUER, SESSION).is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn nonce() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    // The token is the answer to another question: one that somebody has asked elsewhere.
    for (name, provider) in
        [("google", Provider::Google), ("microsoft", Provider::Microsoft), ("apple", Provider::Apple)]
    {
        scene.world.does_wrong(provider, Some(Fault::WrongNonce));
        let state = scene.begun(&mut browser).await;
        assert_eq!(scene.press(&mut browser, &state, name).await.status, 400, "{name}");
    }
    assert_eq!(scene.denied(), ["google token-nonce", "microsoft token-nonce", "apple token-nonce"]);
    assert!(browser.cookie(ISSUER, SESSION).is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn replay_of_a_login_providers_code() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    let state = scene.begun(&mut browser).await;
    let url = scene.leave(&mut browser, &state, "github").await;
    let kept = browser.cookie(ISSUER, "__Host-attempt-").unwrap().to_owned();
    let back = scene.at_provider(&mut browser, &url, "github").await;
    assert_eq!(browser.open(&back).await.status, 303);
    // Whoever reads the browser's history has nothing of it, in this browser and in another.
    assert_eq!(browser.open(&back).await.status, 400);
    let mut thief = scene.browser();
    assert_eq!(thief.open(&back).await.status, 400);
    assert_eq!(scene.redeemed("github"), 1);
    // Nor has whoever has the attempt's cookie as well.
    thief.plant(ISSUER, &format!("__Host-attempt-{}", &state[..8]), &kept);
    assert_eq!(thief.open(&back).await.status, 400);
    assert_eq!(scene.denied(), ["github code-refused"]);
    assert!(thief.cookie(ISSUER, SESSION).is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_code_that_was_slipped_in() {
    let scene = Scene::new().await;
    // Eve has stolen the code of Ada's answer, and puts it into an answer of her own.
    let mut adas = scene.browser();
    let state = scene.begun(&mut adas).await;
    let stolen = code_of(&scene.returns(&mut adas, &state, "google").await);
    let mut eves = scene.browser();
    let state = scene.begun(&mut eves).await;
    scene.leave(&mut eves, &state, "google").await;
    let answer = eves.open(&at(&format!("/callback/google?code={stolen}&state={state}"))).await;
    assert_eq!(answer.status, 400);
    assert_eq!(scene.denied(), ["google code-refused"], "her verifier is another");
    assert!(eves.cookie(ISSUER, SESSION).is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn mix_up_between_providers() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    // What GitHub has given is brought to where Google's answers come: Google must not get the code.
    let state = scene.begun(&mut browser).await;
    let back = scene.returns(&mut browser, &state, "github").await;
    let moved = at(&format!("/callback/google?{}", back.query().unwrap()));
    assert_eq!(browser.open(&moved).await.status, 400);
    assert_eq!((scene.redeemed("google"), scene.redeemed("github")), (0, 0));
    // An answer says that it is another issuer's (RFC 9207).
    scene.world.does_wrong(Provider::Google, Some(Fault::OtherIssuerAnswers));
    let state = scene.begun(&mut browser).await;
    assert_eq!(scene.press(&mut browser, &state, "google").await.status, 400);
    assert_eq!(scene.redeemed("google"), 0);
    assert_eq!(scene.denied(), ["google other-provider", "google other-issuer"]);
    assert!(browser.cookie(ISSUER, SESSION).is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn form_post_from_another_site() {
    let scene = Scene::new().await;
    let apple = scene.world.origin(Provider::Apple);
    let callback = at("/callback/apple");
    // Eve has an answer of Apple's, and makes Ada's browser post it.
    let mut eves = scene.browser();
    let state = scene.begun(&mut eves).await;
    let url = scene.leave(&mut eves, &state, "apple").await;
    let fields = hidden(&eves.open(&url).await.text);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut adas = scene.browser();
    scene.begun(&mut adas).await;
    for from in ["https://evil.example", apple.as_str()] {
        let answer = adas.post(&callback, from, &fields).await;
        let next = Browser::next(&answer, &callback);
        assert_eq!(adas.open(&next).await.status, 400, "{from}");
    }
    assert_eq!((scene.believed(), scene.redeemed("apple")), (0, 0));
    assert!(adas.cookie(ISSUER, SESSION).is_none());
}
