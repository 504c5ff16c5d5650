//! What Apple tells of its people.

use axum::http::Method;
use foundation::clock::{Clock as _, SystemClock};
use login_providers::{Fault, Provider};
use serde_json::{Value, json};

use crate::scene::{CLIENT, Scene};

impl Scene {
    async fn told(&self, body: &str) -> u16 {
        let headers = [("content-type", "application/json")];
        let answer = self.stage.issuer.send(Method::POST, "/notifications/apple", &headers, body).await;
        answer.status.as_u16()
    }

    /// A notification of a kind that means nothing here, with members changed; members that are null are left out.
    fn notification(&self, changes: &Value) -> String {
        let event = json!({"type": "something-new", "sub": "001234.abc.0001", "event_time": 1});
        let mut claims = json!({
            "iss": self.world.origin(Provider::Apple), "aud": CLIENT, "jti": "one",
            "iat": SystemClock.now().unix_timestamp(), "events": event.to_string()
        });
        let all = claims.as_object_mut().unwrap();
        all.extend(changes.as_object().unwrap().clone());
        all.retain(|_, value| !value.is_null());
        json!({"payload": self.world.signed(Provider::Apple, &claims)}).to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_notification_is_believed_by_its_signature_audience_and_time() {
    let scene = Scene::new().await;
    let now = SystemClock.now().unix_timestamp();
    assert_eq!(scene.told(&scene.notification(&json!({}))).await, 200);
    assert_eq!(scene.stage.count("used_assertions"), "1");
    assert_eq!(scene.told(&scene.notification(&json!({}))).await, 200, "again, and nothing is done");
    assert_eq!(scene.stage.count("used_assertions"), "1");
    let events = json!({"type": "something-new", "sub": "001234.abc.0001"});
    let as_object = scene.notification(&json!({"jti": "two", "events": events}));
    assert_eq!(scene.told(&as_object).await, 200);
    let mut expected = Vec::new();
    for (changes, reason) in [
        (json!({"aud": "another"}), "token-audience"),
        (json!({"iss": "https://issuer.example"}), "token-issuer"),
        (json!({"iat": now + 3600}), "token-early"),
        (json!({"iat": now - 25 * 3600}), "token-old"),
        (json!({"iat": null}), "token-timeless"),
        (json!({"jti": null}), "token-nameless"),
        (json!({"events": null}), "token-eventless"),
        (json!({"events": "{"}), "token-eventless"),
        (json!({"events": "{\"type\":\"account-delete\",\"sub\":\"\"}"}), "token-subject"),
    ] {
        assert_eq!(scene.told(&scene.notification(&changes)).await, 400, "{changes}");
        expected.push(format!("apple {reason}"));
    }
    assert_eq!(scene.denied(), expected);
    // What Apple has not signed is anybody's: it is refused, and leaves nothing.
    let unsigned = "{\"payload\":\"eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.\"}";
    for body in [unsigned, "{\"payload\":\"x\"}", "{\"payload\":1}", "{}", "", "[]"] {
        assert_eq!(scene.told(body).await, 400, "{body}");
    }
    let google = scene.world.signed(Provider::Google, &json!({"iss": "x", "aud": CLIENT}));
    assert_eq!(scene.told(&json!({"payload": google}).to_string()).await, 400);
    assert_eq!(scene.denied(), expected);
    let nobody = scene.stage.issuer.send(Method::POST, "/notifications/google", &[], "{}").await;
    assert_eq!(nobody.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn where_its_keys_are_not_known_apple_is_asked_to_try_again() {
    let scene = Scene::new().await;
    scene.world.rotates_keys(Provider::Apple);
    scene.world.does_wrong(Provider::Apple, Some(Fault::Down));
    let body = scene.notification(&json!({"jti": "later"}));
    assert_eq!(scene.told(&body).await, 503);
    assert_eq!(scene.stage.count("used_assertions"), "0");
}
