use serde_json::json;

use crate::scene::{Scene, basic, error, good, redemption, returned};
use crate::support::stage::{CLIENT_SECRET, ISSUER};

const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_proves_itself_by_header_form_or_signature() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let by_form = [("client_id", "app"), ("client_secret", CLIENT_SECRET)];
    let code = scene.code(&ada, &[]).await;
    let fields = [&redemption(&code, &[])[..], &by_form].concat();
    assert_eq!(scene.post("/token", &[], &fields).await.status, 200);

    let signer = [("client_id", "signer"), ("redirect_uri", "https://signer.example.test/callback")];
    let redeem = |assertion: String| {
        let (scene, ada) = (&scene, &ada);
        async move {
            let code = returned(&scene.authorize(Some(ada), &good(&signer)).await, "code");
            let fields = redemption(
                &code,
                &[
                    ("redirect_uri", signer[1].1),
                    ("client_assertion_type", KIND),
                    ("client_assertion", assertion.as_str()),
                ],
            );
            scene.post("/token", &[], &fields).await
        }
    };
    let assertion = scene.assertion(&json!({}));
    assert_eq!(redeem(assertion.clone()).await.status, 200);
    let again = redeem(assertion).await;
    assert_eq!((again.status.as_u16(), error(&again)), (401, "invalid_client".to_owned()), "it counts once");
    assert_eq!(redeem(scene.assertion(&json!({ "aud": ISSUER }))).await.status, 200);
    for changes in [
        json!({ "aud": "https://elsewhere.example/token" }),
        json!({ "exp": 1 }),
        json!({ "jti": null }),
        json!({ "iss": "app" }),
        json!({ "sub": "app", "iss": "app" }),
    ] {
        assert_eq!(redeem(scene.assertion(&changes)).await.status, 401, "{changes}");
    }
    let other =
        aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING);
    let forged = Scene { key: other.unwrap(), ..scene };
    let scene = &forged;
    let fields =
        [("token", "x"), ("client_assertion_type", KIND), ("client_assertion", &scene.assertion(&json!({})))];
    assert_eq!(scene.post("/introspect", &[], &fields).await.status, 401);
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn whoever_proves_nothing_gets_nothing() {
    let scene = Scene::new().await;
    let fields = redemption("x", &[]);
    for path in ["/token", "/introspect", "/revoke"] {
        let wrong = basic("app", "wrong");
        let answer = scene.post(path, &[("authorization", &wrong)], &fields).await;
        assert_eq!((answer.status.as_u16(), error(&answer)), (401, "invalid_client".to_owned()), "{path}");
        assert!(answer.header("www-authenticate").starts_with("Basic "));
        // One that there is not is told the same.
        let nobody = scene.post(path, &[("authorization", &basic("nobody", "wrong"))], &fields).await;
        assert_eq!((nobody.status, &nobody.text), (answer.status, &answer.text));
        let answer = scene.post(path, &[], &fields).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, ""));
        let posted = [&fields[..], &[("client_id", "app"), ("client_secret", "wrong")]].concat();
        assert_eq!(scene.post(path, &[], &posted).await.status, 401);
        let twice = [&fields[..], &[("client_id", "app"), ("client_secret", CLIENT_SECRET)]].concat();
        let header = basic("app", CLIENT_SECRET);
        let answer = scene.post(path, &[("authorization", &header)], &twice).await;
        assert_eq!((answer.status.as_u16(), error(&answer)), (400, "invalid_request".to_owned()));
        // A client that signs has no secret.
        let answer = scene.post(path, &[("authorization", &basic("signer", CLIENT_SECRET))], &fields).await;
        assert_eq!(answer.status, 401);
    }
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_is_slowed_and_the_client_elsewhere_is_not() {
    let scene = Scene::new().await;
    let guess = |address: &'static str, secret: &'static str| {
        let scene = &scene;
        async move {
            let headers = [("authorization", &*basic("app", secret)), ("x-forwarded-for", address)]
                .map(|(name, value)| (name, value.to_owned()));
            let headers = [(headers[0].0, &*headers[0].1), (headers[1].0, &*headers[1].1)];
            scene.post("/token", &headers, &redemption("x", &[])).await
        }
    };
    let attacker = "2001:db8:bad::1";
    for _ in 0..10 {
        assert_eq!(guess(attacker, "wrong").await.status, 401);
    }
    let answer = guess(attacker, "wrong").await;
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 7);
    assert_eq!(guess(attacker, CLIENT_SECRET).await.status, 429, "a lucky guess is not worth more");
    assert_eq!(guess("2001:db8:bad:0:1::", "wrong").await.status, 429, "from the same network");
    let elsewhere = guess("192.0.2.7", CLIENT_SECRET).await;
    assert_eq!(error(&elsewhere), "invalid_grant", "the client itself is let in");
    // What succeeds costs nothing.
    for _ in 0..40 {
        assert_eq!(guess("192.0.2.8", CLIENT_SECRET).await.status, 400);
    }
    let metrics = scene.stage.issuer.metrics().await;
    assert!(metrics.contains("identity_client_requests_refused_total{reason=\"client\"} 10"), "{metrics}");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_at_clients_and_tokens_is_slowed() {
    let scene = Scene::new().await;
    let from = |address: &'static str| ("x-forwarded-for", address);
    let authorize = |address| {
        let path = format!("/authorize?{}", crate::scene::encoded(&good(&[("client_id", "guess")])));
        let scene = &scene;
        async move { scene.stage.issuer.ask(axum::http::Method::GET, &path, &[from(address)]).await.status }
    };
    let userinfo = |address| {
        let bearer = format!("Bearer {}", "x".repeat(43));
        let scene = &scene;
        async move {
            let headers = [("authorization", bearer.as_str()), from(address)];
            scene.stage.issuer.ask(axum::http::Method::GET, "/userinfo", &headers).await.status
        }
    };
    for _ in 0..60 {
        assert_eq!(authorize("192.0.2.1").await, 400);
        assert_eq!(userinfo("192.0.2.2").await, 401);
    }
    // One flows back each second, while this goes on.
    let mut slowed = (false, false);
    for _ in 0..300 {
        slowed.0 = slowed.0 || authorize("192.0.2.1").await == 429;
        slowed.1 = slowed.1 || userinfo("192.0.2.2").await == 429;
        if slowed == (true, true) {
            break;
        }
    }
    assert_eq!(slowed, (true, true));
    assert_eq!(authorize("192.0.2.3").await, 400);
    assert_eq!(userinfo("192.0.2.3").await, 401);
}
