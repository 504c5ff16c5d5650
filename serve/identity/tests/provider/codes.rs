use axum::http::Method;

use crate::scene::{FORM, Scene, VERIFIER, basic, encoded, error, good, redemption, returned};
use crate::support::stage::{CLIENT_SECRET, ISSUER};

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_code_becomes_tokens() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let code = scene.code(&ada, &[]).await;
    let answer = scene.redeem(&code, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let tokens = answer.json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&"Bearer".into(), &600.into()));
    assert_eq!(tokens["scope"], "openid email profile");
    assert!(tokens.get("refresh_token").is_none(), "nobody asked for one");
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(access.len(), 43);

    let (_, claims) = scene.verified(tokens["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!((&claims["iss"], &claims["aud"]), (&ISSUER.into(), &"app".into()));
    assert_eq!(claims["sub"], ada.account.to_string());
    assert_eq!(claims["sid"], ada.session.to_string());
    assert_eq!((&claims["nonce"], &claims["idp"]), (&"the nonce".into(), &"google".into()));
    assert_eq!((&claims["name"], &claims["email_verified"]), (&"Ada Lovelace".into(), &true.into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    assert!(claims["auth_time"].as_i64().unwrap() <= claims["iat"].as_i64().unwrap());
    assert_eq!(claims["at_hash"].as_str().unwrap().len(), 22);
    assert_eq!(scene.userinfo(access).await.json()["sub"], ada.account.to_string());
    let kept = scene.sql("SELECT string_agg(t::text, '') FROM (TABLE codes) AS t")
        + &scene.sql("TABLE issued_tokens");
    assert!(!kept.contains(access) && !kept.contains(&code), "only hashes are kept");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_used_again_ends_everything_that_it_gave() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let code = scene.code(&ada, &[("scope", "openid offline_access")]).await;
    let tokens = scene.redeem(&code, &[]).await.json();
    let (access, refresh) =
        (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    assert_eq!(scene.userinfo(access).await.status, 200);
    let answer = scene.redeem(&code, &[]).await;
    assert_eq!((answer.status.as_u16(), error(&answer)), (400, "invalid_grant".to_owned()));
    assert_eq!(scene.userinfo(access).await.status, 401);
    let refreshed = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    assert_eq!(error(&scene.post_as("app", "/token", &refreshed).await), "invalid_grant");
    assert_eq!(scene.audited("grant.end"), "denied code-used-again");
    assert_eq!(scene.sql("SELECT ended_because FROM grants"), "replayed");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_redeem_a_code_at_once_one_succeeds() {
    let scene = Scene::new().await;
    let ada = scene.person();
    for _ in 0..5 {
        let code = scene.code(&ada, &[]).await;
        let fields = redemption(&code, &[]);
        let once = || scene.post_as("app", "/token", &fields);
        let (a, b, c) = tokio::join!(once(), once(), once());
        let mut statuses = [a.status.as_u16(), b.status.as_u16(), c.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400, 400]);
    }
    assert_eq!(scene.stage.count("grants WHERE ended_because = 'replayed'"), "5");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_for_its_client_and_its_browser() {
    let scene = Scene::new().await;
    let ada = scene.person();
    // Another client has nothing of it, and does no harm.
    let code = scene.code(&ada, &[]).await;
    let stolen = scene.post_as("other app", "/token", &redemption(&code, &[])).await;
    assert_eq!(error(&stolen), "invalid_grant");
    assert_eq!(scene.audited("code.redeem"), "denied client");
    assert_eq!(scene.redeem(&code, &[]).await.status, 200);
    // What is slipped in ends it.
    for (changes, reason) in [
        ([("code_verifier", "x".repeat(43))], "code-verifier"),
        ([("code_verifier", String::new())], "code-without-verifier"),
        ([("redirect_uri", "https://app.example.test/other?tenant=1".to_owned())], "code-redirect-uri"),
        ([("redirect_uri", String::new())], "code-redirect-uri"),
    ] {
        let code = scene.code(&ada, &[]).await;
        let changes: Vec<(&str, &str)> =
            changes.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(error(&scene.redeem(&code, &changes).await), "invalid_grant", "{reason}");
        assert_eq!(scene.audited("grant.end").lines().last().unwrap(), format!("denied {reason}"));
        assert_eq!(error(&scene.redeem(&code, &[]).await), "invalid_grant", "{reason}: it is used up");
    }
    for code in ["x", "", &"x".repeat(43)] {
        let expected = if code.is_empty() { "invalid_request" } else { "invalid_grant" };
        assert_eq!(error(&scene.redeem(code, &[]).await), expected);
    }
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_code_ends_with_its_time_and_with_the_session() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let code = scene.code(&ada, &[]).await;
    scene.sql("UPDATE codes SET expires_at = now()");
    assert_eq!(error(&scene.redeem(&code, &[]).await), "invalid_grant");
    let code = scene.code(&ada, &[]).await;
    scene.sql("UPDATE browser_sessions SET expires_at = now()");
    assert_eq!(error(&scene.redeem(&code, &[]).await), "invalid_grant");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn without_a_challenge_there_is_no_verifier() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let old = [
        ("client_id", "old"),
        ("redirect_uri", "https://old.example.test/callback"),
        ("code_challenge", ""),
        ("code_challenge_method", ""),
        ("nonce", ""),
    ];
    let redeem = |code: String, verifier: &'static str| {
        let scene = &scene;
        async move {
            let changes =
                [("redirect_uri", "https://old.example.test/callback"), ("code_verifier", verifier)];
            scene.post_as("old", "/token", &redemption(&code, &changes)).await
        }
    };
    let code = returned(&scene.authorize(Some(&ada), &good(&old)).await, "code");
    let tokens = redeem(code, "").await.json();
    let (_, claims) = scene.verified(tokens["id_token"].as_str().unwrap()).await.unwrap();
    assert!(claims.get("nonce").is_none());
    assert!(tokens["id_token"].as_str().unwrap().starts_with("eyJhbGciOiJSUzI1NiIs"), "RS256");
    // Somebody has taken the challenge out of the request.
    let code = returned(&scene.authorize(Some(&ada), &good(&old)).await, "code");
    assert_eq!(error(&redeem(code, VERIFIER).await), "invalid_grant");
    assert_eq!(scene.audited("grant.end"), "denied code-without-challenge");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn the_token_endpoint_refuses_what_it_does_not_know() {
    let scene = Scene::new().await;
    for (fields, expected) in [
        (&[("grant_type", "password")][..], "unsupported_grant_type"),
        (&[("grant_type", "client_credentials")], "unsupported_grant_type"),
        (&[], "invalid_request"),
        (&[("grant_type", "authorization_code")], "invalid_request"),
        (&[("grant_type", "refresh_token")], "invalid_request"),
        (&[("grant_type", "authorization_code"), ("grant_type", "refresh_token")], "invalid_request"),
    ] {
        let answer = scene.post_as("app", "/token", fields).await;
        assert_eq!((answer.status.as_u16(), error(&answer)), (400, expected.to_owned()), "{fields:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let header = basic("app", CLIENT_SECRET);
    let json = [("authorization", header.as_str()), ("content-type", "application/json")];
    let answer = scene.stage.issuer.send(Method::POST, "/token", &json, "{}").await;
    assert_eq!(error(&answer), "invalid_request");
    // Nothing is read from the address.
    let path = format!("/token?{}", encoded(&redemption("x", &[])));
    let headers = [("authorization", header.as_str()), FORM];
    let answer = scene.stage.issuer.send(Method::POST, &path, &headers, "").await;
    assert_eq!(error(&answer), "invalid_request");
}
