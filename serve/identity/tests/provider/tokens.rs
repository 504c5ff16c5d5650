use axum::http::Method;
use serde_json::json;

use crate::scene::{FORM, Scene, error};

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn userinfo_says_what_the_scope_and_the_request_ask_for() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let email = format!("ada-{}@example.test", ada.account);
    let of = |changes: Vec<(&'static str, &'static str)>| {
        let (scene, ada) = (&scene, &ada);
        async move {
            let tokens = scene.tokens(ada, &changes).await;
            let token = tokens["access_token"].as_str().unwrap().to_owned();
            (token.clone(), scene.userinfo(&token).await)
        }
    };
    let (token, answer) = of(vec![("scope", "openid email")]).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let expected = json!({ "sub": ada.account, "email": email, "email_verified": true });
    assert_eq!(answer.json(), expected);
    // The same, by the other ways.
    let bearer = format!("Bearer {token}");
    let posted = scene.post("/userinfo", &[("authorization", &bearer)], &[]).await;
    assert_eq!(posted.json(), expected);
    let answer = scene.stage.issuer.ask(Method::POST, "/userinfo", &[("authorization", &bearer)]).await;
    assert_eq!(answer.json(), expected, "without any body");
    assert_eq!(scene.post("/userinfo", &[], &[("access_token", &token)]).await.json(), expected);

    let (_, answer) = of(vec![("scope", "openid profile")]).await;
    let said = answer.json();
    assert_eq!((&said["name"], &said["given_name"]), (&"Ada Lovelace".into(), &"Ada".into()));
    assert!(said.get("email").is_none() && said["updated_at"].is_i64());
    let claims = r#"{"userinfo":{"name":{"essential":true},"nonsense":null}}"#;
    let (_, answer) = of(vec![("scope", "openid"), ("claims", claims)]).await;
    assert_eq!(answer.json(), json!({ "sub": ada.account, "name": "Ada Lovelace" }));
    let (_, answer) = of(vec![("scope", "openid address phone unknown")]).await;
    assert_eq!(answer.json(), json!({ "sub": ada.account }));
    let claims = r#"{"id_token":{"email":null}}"#;
    let tokens = scene.tokens(&ada, &[("scope", "openid"), ("claims", claims)]).await;
    let (_, claims) = scene.verified(tokens["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims["email"], email);
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn userinfo_says_nothing_without_a_token_that_is_good() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let tokens = scene.tokens(&ada, &[]).await;
    let (token, id_token) = (tokens["access_token"].as_str().unwrap(), tokens["id_token"].as_str().unwrap());
    let issuer = &scene.stage.issuer;
    let answer = issuer.get("/userinfo").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("www-authenticate")),
        (401, r#"Bearer realm="userinfo""#)
    );
    assert_eq!(answer.text, "{}", "no error, which there is none of yet");
    for wrong in ["x", &"x".repeat(43), id_token] {
        let answer = scene.userinfo(wrong).await;
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").contains(r#"error="invalid_token""#));
    }
    assert_eq!(issuer.get(&format!("/userinfo?access_token={token}")).await.status, 401);
    let bearer = format!("Bearer {token}");
    let twice = scene.post("/userinfo", &[("authorization", &bearer)], &[("access_token", token)]).await;
    assert_eq!((twice.status.as_u16(), error(&twice)), (400, "invalid_request".to_owned()));
    scene.sql("UPDATE issued_tokens SET expires_at = now()");
    assert_eq!(scene.userinfo(token).await.status, 401);
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_learns_of_its_own_tokens_and_gives_them_up() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let offline = [("scope", "openid offline_access")];
    let tokens = scene.tokens(&ada, &offline).await;
    let (access, refresh) =
        (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    let introspect = |client: &'static str, token: String| {
        let scene = &scene;
        async move { scene.post_as(client, "/introspect", &[("token", &token)]).await.json() }
    };
    let said = introspect("app", access.to_owned()).await;
    assert_eq!((&said["active"], &said["client_id"]), (&true.into(), &"app".into()));
    assert_eq!((&said["sub"], &said["token_type"]), (&ada.account.to_string().into(), &"Bearer".into()));
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 600);
    assert_eq!(introspect("app", refresh.to_owned()).await["active"], true);
    let nothing = json!({ "active": false });
    assert_eq!(introspect("other", access.to_owned()).await, nothing);
    assert_eq!(introspect("app", "x".repeat(43)).await, nothing);

    let revoke = |client: &'static str, token: String| {
        let scene = &scene;
        async move { scene.post_as(client, "/revoke", &[("token", &token)]).await.status.as_u16() }
    };
    assert_eq!(revoke("other", access.to_owned()).await, 200);
    assert_eq!(introspect("app", access.to_owned()).await["active"], true, "it was not the other's");
    assert_eq!(revoke("app", "x".to_owned()).await, 200);
    assert_eq!(revoke("app", access.to_owned()).await, 200);
    assert_eq!(introspect("app", access.to_owned()).await, nothing);
    assert_eq!(introspect("app", refresh.to_owned()).await["active"], true, "only that one has ended");
    let tokens =
        scene.post_as("app", "/token", &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
    let tokens = tokens.json();
    let (access, newer) =
        (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    assert_eq!(introspect("app", refresh.to_owned()).await, nothing, "it is used");
    assert_eq!(revoke("app", newer.to_owned()).await, 200);
    assert_eq!(introspect("app", access.to_owned()).await, nothing, "everything has ended");
    assert_eq!(scene.sql("SELECT ended_because FROM grants"), "revoked");
    assert_eq!(
        error(&scene.stage.issuer.send(Method::POST, "/revoke", &[FORM], "token=x").await),
        "invalid_client"
    );
}
