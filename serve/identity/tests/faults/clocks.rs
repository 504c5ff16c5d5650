use aws_lc_rs::rand::SystemRandom;
use foundation::clock::{Clock as _, SystemClock};
use serde_json::json;

use crate::scene::{Scene, assertion_claims, jwt, signed_by};
use crate::tries_again;

const SAYS: &str = "That sign-in cannot be trusted";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn sixty_seconds_between_a_provider_and_the_issuer_keep_nobody_out() {
    let scene = Scene::new().await;
    for seconds in [60, -60] {
        scene.world.sets_clock(seconds);
        for name in crate::world::NAMES {
            let mut browser = scene.browser();
            scene.enters(&mut browser, name).await;
            assert!(scene.who(&mut browser).await.is_some(), "{name} at {seconds} s");
        }
    }
    assert!(scene.denied().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_clock_that_is_far_off_is_not_believed_and_once_it_is_right_the_next_try_works() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    for (seconds, reason) in [(300, "token-early"), (-900, "token-old")] {
        scene.world.sets_clock(seconds);
        let state = scene.begun(&mut browser).await;
        let state = tries_again(&scene.press(&mut browser, &state, "google").await, 400, SAYS);
        assert_eq!(scene.denied().last().unwrap(), &format!("google {reason}"));
        scene.world.sets_clock(0);
        let answer = scene.press(&mut browser, &state, "google").await;
        assert_eq!(answer.header("location"), "/account", "{}", answer.text);
    }
}

/// Both ways, so that it is the issuer's clock as well that may be off: by those of its clients, and by that of another process
/// of its own in which a sign-in began.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn sixty_seconds_between_the_issuer_and_whoever_asks_it_keep_nobody_out() {
    let scene = Scene::new().await;
    for seconds in [60, -60] {
        let now = SystemClock.now().unix_timestamp() + seconds;
        let claims = assertion_claims(&json!({ "iat": now, "nbf": now, "exp": now + 60 }));
        let sign = |message: &[u8]| scene.key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
        let answer = scene.signed(&jwt(&signed_by("ES256"), &claims, sign)).await;
        assert_eq!(answer.status, 200, "{seconds} s: {}", answer.text);
        let mut browser = scene.browser();
        let state = scene.begin_at(&mut browser, u8::from(seconds > 0), now);
        let answer = scene.press(&mut browser, &state, "github").await;
        assert_eq!(answer.header("location"), "/account", "{seconds} s: {}", answer.text);
    }
}
