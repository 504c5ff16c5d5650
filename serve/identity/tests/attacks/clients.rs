//! Attacks on what clients are given.

use serde_json::json;

use crate::scene::{BACK, BYE, OFFLINE, Scene, VERIFIER, encoded, error, good, redemption, returned};
use crate::support::stage::ISSUER;
use crate::world::at;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn pkce_downgrade() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    // The challenge is taken out of the request, or becomes one that whoever sees it can answer.
    for changes in [
        &[("code_challenge", "")][..],
        &[("code_challenge", ""), ("code_challenge_method", "")],
        &[("code_challenge_method", "plain"), ("code_challenge", VERIFIER)],
        &[("code_challenge_method", "")],
    ] {
        let answer = browser.open(&at(&format!("/authorize?{}", encoded(&good(changes))))).await;
        assert_eq!(returned(&answer, "code"), "", "{changes:?}");
        assert_eq!(returned(&answer, "error"), "invalid_request", "{changes:?}");
    }
    // Without the verifier the code is worth nothing, and with a wrong one.
    for verifier in ["", &"x".repeat(43)] {
        let code = scene.code(&mut browser, &[]).await;
        assert_eq!(error(&scene.redeem(&code, &[("code_verifier", verifier)]).await), "invalid_grant");
    }
    // A client that need not send a challenge has sent one, and somebody has taken it out (RFC 9700, section 4.8.2).
    let there = ("redirect_uri", "https://old.example.test/callback");
    let stripped = [("client_id", "old"), there, ("code_challenge", ""), ("code_challenge_method", "")];
    let code = scene.code(&mut browser, &stripped).await;
    let answer = scene.post_as("old", "/token", &redemption(&code, &[there])).await;
    assert_eq!(error(&answer), "invalid_grant", "{}", answer.text);
    // Towards the login providers there is one each time.
    for name in crate::world::NAMES {
        let state = scene.begun(&mut browser).await;
        let url = scene.leave(&mut browser, &state, name).await;
        let query: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        let sent = (query["code_challenge"].len(), query["code_challenge_method"].as_str());
        assert_eq!(sent, (43, "S256"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn code_replay() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    let code = scene.code(&mut browser, &[OFFLINE]).await;
    let tokens = scene.redeem(&code, &[]).await.json();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(scene.userinfo(access).await.status, 200);
    assert_eq!(error(&scene.redeem(&code, &[]).await), "invalid_grant");
    // One of the two has stolen it: neither has anything of it.
    assert_eq!(scene.userinfo(access).await.status, 401);
    assert_eq!(error(&scene.refresh(tokens["refresh_token"].as_str().unwrap()).await), "invalid_grant");
    assert_eq!(scene.audited("grant.end"), "denied code-used-again");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn code_of_another_client() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    let code = scene.code(&mut browser, &[]).await;
    let stolen = scene.post_as("other", "/token", &redemption(&code, &[])).await;
    assert_eq!(error(&stolen), "invalid_grant", "{}", stolen.text);
    assert_eq!(scene.audited("code.redeem"), "denied client");
    assert_eq!(scene.redeem(&code, &[]).await.status, 200, "whose it is has lost nothing");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn refresh_replay() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    let first = scene.tokens(&mut browser, &[OFFLINE]).await["refresh_token"].as_str().unwrap().to_owned();
    let second = scene.refresh(&first).await.json();
    assert_eq!(scene.userinfo(second["access_token"].as_str().unwrap()).await.status, 200);
    assert_eq!(error(&scene.refresh(&first).await), "invalid_grant");
    // The whole family has ended, whoever of the two was the thief.
    assert_eq!(scene.userinfo(second["access_token"].as_str().unwrap()).await.status, 401);
    assert_eq!(error(&scene.refresh(second["refresh_token"].as_str().unwrap()).await), "invalid_grant");
    assert_eq!(scene.audited("grant.end").lines().next().unwrap(), "denied refresh-token-used-again");
    // Another client's is no replay, and no use.
    let mine = scene.tokens(&mut browser, &[OFFLINE]).await["refresh_token"].as_str().unwrap().to_owned();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", mine.as_str())];
    assert_eq!(error(&scene.post_as("other", "/token", &fields).await), "invalid_grant");
    assert_eq!(scene.refresh(&mine).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn token_of_another_audience() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    let tokens = scene.tokens(&mut browser, &[OFFLINE]).await;
    let (access, id_token) = (tokens["access_token"].as_str().unwrap(), tokens["id_token"].as_str().unwrap());
    let said = |client: &'static str| {
        let (scene, access) = (&scene, access.to_owned());
        async move { scene.post_as(client, "/introspect", &[("token", &access)]).await.json() }
    };
    assert_eq!(said("other").await, json!({ "active": false }));
    assert_eq!(said("app").await["active"], true);
    // Nor can another client end it, exchange it, or sign people out by it.
    scene.post_as("other", "/revoke", &[("token", access)]).await;
    assert_eq!(scene.userinfo(access).await.status, 200);
    let exchange = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", access),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("audience", "google"),
    ];
    assert_eq!(error(&scene.post_as("other", "/token", &exchange).await), "unauthorized_client");
    assert_eq!(scene.verified(id_token).await.unwrap()["aud"], "app");
    let logout = [("client_id", "other"), ("id_token_hint", id_token)];
    assert_eq!(browser.open(&at(&format!("/logout?{}", encoded(&logout)))).await.status, 400);
    assert!(scene.who(&mut browser).await.is_some(), "nobody was signed out");
    // What is for a client is for no userinfo.
    assert_eq!(scene.userinfo(id_token).await.status, 401);
    // A client's assertion is for this issuer alone.
    let sign = |audience: serde_json::Value| {
        let key = &scene.key;
        let random = aws_lc_rs::rand::SystemRandom::new();
        let claims = crate::scene::assertion_claims(&json!({ "aud": audience }));
        crate::scene::jwt(&crate::scene::signed_by("ES256"), &claims, |message| {
            key.sign(&random, message).unwrap().as_ref().to_vec()
        })
    };
    for audience in [json!("https://elsewhere.example/token"), json!([ISSUER, "https://elsewhere.example"])] {
        assert_eq!(scene.signed(&sign(audience.clone())).await.status, 401, "{audience}");
    }
    assert_eq!(scene.signed(&sign(json!(ISSUER))).await.status, 200);
    // Login providers' tokens for others are tried in `tokens`.
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn open_redirect() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    let evil = "https://evil.example/callback";
    for changes in [
        &[("redirect_uri", evil)][..],
        &[("redirect_uri", "")],
        &[("client_id", "nobody"), ("redirect_uri", evil)],
        &[("client_id", "other")],
        // Neither by what is wrong beside it.
        &[("redirect_uri", evil), ("response_type", "token")],
        &[("redirect_uri", evil), ("prompt", "none login")],
    ] {
        let answer = browser.open(&at(&format!("/authorize?{}", encoded(&good(changes))))).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""), "{changes:?}");
        assert!(!answer.text.contains("evil.example"), "{changes:?}");
    }
    for (client, uri) in [("app", evil), ("other", BYE), ("nobody", evil)] {
        let query = encoded(&[("client_id", client), ("post_logout_redirect_uri", uri)]);
        let answer = browser.open(&at(&format!("/logout?{query}"))).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""), "{client} {uri}");
    }
    // Places of this issuer that lead on do so within it.
    for path in
        ["/", "/sign-in?next=https://evil.example", "/account?return_to=//evil.example", "//evil.example/"]
    {
        let answer = scene.stage.issuer.get(path).await;
        assert!(!answer.header("location").contains("evil"), "{path}: {}", answer.header("location"));
    }
    assert_eq!(scene.stage.count("grants"), "0");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn redirect_prefix_tricks() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    let tricks = [
        format!("{BACK}/"),
        format!("{BACK}/../evil"),
        format!("{BACK}?x=1"),
        format!("{BACK}#x"),
        format!("{BACK}%2f.."),
        format!("{BACK}.evil.example"),
        format!("{BACK}@evil.example"),
        format!("{BACK} "),
        format!("{BACK}\n"),
        BACK.replace("app.example.test", "app.example.test.evil.example"),
        BACK.replace("app.example.test", "app.example.test@evil.example"),
        BACK.replace("app.example.test", "evil.example\\@app.example.test"),
        BACK.replace("app.example.test", "APP.example.test"),
        BACK.replace("app.example.test", "app.example.test:443"),
        BACK.replace("app.example.test", "sub.app.example.test"),
        BACK.replace("https://", "http://"),
        BACK.replace("https://", "HTTPS://"),
        BACK.replace("https:", ""),
        "https://app.example.test/other?tenant=2".to_owned(),
        "https://app.example.test/other".to_owned(),
        "https://app.example.test/%63allback".to_owned(),
    ];
    for trick in &tricks {
        let url = at(&format!("/authorize?{}", encoded(&good(&[("redirect_uri", trick)]))));
        let answer = browser.open(&url).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""), "{trick}");
    }
    let code = scene.code(&mut browser, &[]).await;
    let answer = scene.redeem(&code, &[("redirect_uri", &tricks[0])]).await;
    assert_eq!(error(&answer), "invalid_grant", "nor is it another one when the code is redeemed");
}
