//! Answers that are not believed: nobody is let in, and it is written down.

use login_providers::{Fault, Provider, STRICT_COMPANY};
use serde_json::json;

use crate::scene::{NAMES, Scene, at};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_state_is_that_of_this_browser() {
    let scene = Scene::new().await;
    let mut eve = scene.browser();
    let state = scene.begin(&mut eve, 1);
    let url = scene.leave(&mut eve, &state, "google").await;
    let back = scene.at_provider(&mut eve, &url, "google").await;
    // Login CSRF: the victim's browser is sent to where somebody else's sign-in ends.
    let mut victim = scene.browser();
    let mine = scene.begin(&mut victim, 2);
    scene.leave(&mut victim, &mine, "google").await;
    victim.open(&back).await;
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    for query in [
        format!("code={code}"),
        format!("code={code}&state="),
        format!("code={code}&state={state}&state={mine}"),
        format!("code={code}&state={}", "A".repeat(43)),
    ] {
        victim.open(&at(&format!("/callback/google?{query}"))).await;
    }
    assert_eq!((scene.believed(), scene.redeemed("google")), (0, 0), "nobody was asked");
    assert!(scene.denied().is_empty(), "nothing was begun, so nothing is denied");
    // With the victim's own state, the code is one that was asked for with another challenge.
    victim.open(&at(&format!("/callback/google?code={code}&state={mine}"))).await;
    assert_eq!((scene.believed(), scene.denied()), (0, vec!["google code-refused".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn no_wrong_token_lets_anybody_in() {
    let scene = Scene::new().await;
    let mut expected = Vec::new();
    let mut nth = 0;
    for (name, faults) in [
        (
            "google",
            vec![
                (Fault::WrongNonce, "token-nonce"),
                (Fault::WrongAudience, "token-audience"),
                (Fault::WrongIssuer, "token-issuer"),
                (Fault::Expired, "token-old"),
                (Fault::Future, "token-early"),
                (Fault::NoAlgorithm, "token-malformed"),
                (Fault::SignedWithSecret, "token-algorithm"),
                (Fault::SignedWithPublicKey, "token-algorithm"),
                (Fault::ForgedKey, "token-not-signed"),
                (Fault::UnknownKey, "token-not-signed"),
                (Fault::WrongAtHash, "token-access-token"),
                (Fault::OtherIssuerAnswers, "other-issuer"),
            ],
        ),
        (
            "microsoft",
            vec![
                (Fault::WrongIssuer, "token-issuer"),
                (Fault::ForgedTenant, "token-issuer"),
                (Fault::ConsumersKey, "token-key-issuer"),
            ],
        ),
        ("apple", vec![(Fault::WrongNonce, "token-nonce"), (Fault::WrongAudience, "token-audience")]),
    ] {
        let provider = Provider::of(name).unwrap();
        for (fault, reason) in faults {
            nth += 1;
            scene.world.does_wrong(provider, Some(fault));
            scene.signs_in(&mut scene.browser(), nth, name).await;
            expected.push(format!("{name} {reason}"));
        }
        scene.world.does_wrong(provider, None);
    }
    assert_eq!((scene.believed(), scene.denied()), (0, expected));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn refusals_and_mix_ups_are_written_down() {
    let scene = Scene::new().await;
    let mut expected = Vec::new();
    for (nth, name) in NAMES.into_iter().enumerate() {
        let provider = Provider::of(name).unwrap();
        scene.world.change(provider, "ada", &json!({"refuses": true})).unwrap();
        scene.signs_in(&mut scene.browser(), u8::try_from(nth).unwrap(), name).await;
        scene.world.change(provider, "ada", &json!({"refuses": false})).unwrap();
        expected.push(format!("{name} refused-by-person"));
    }
    scene.world.change(Provider::Microsoft, "ada", &json!({"tenant": STRICT_COMPANY})).unwrap();
    scene.signs_in(&mut scene.browser(), 10, "microsoft").await;
    expected.push("microsoft consent-needed".to_owned());
    // Mix-up: the code of one provider is brought to the place of another, which must not get it.
    let mut browser = scene.browser();
    let state = scene.begin(&mut browser, 11);
    let url = scene.leave(&mut browser, &state, "github").await;
    let back = scene.at_provider(&mut browser, &url, "github").await;
    let moved = at(&format!("/callback/google?{}", back.query().unwrap()));
    browser.open(&moved).await;
    expected.push("google other-provider".to_owned());
    assert_eq!((scene.redeemed("google"), scene.redeemed("github")), (0, 0));
    assert_eq!((scene.believed(), scene.denied()), (0, expected));
}
