use foundation::testing::program::Answer;

use crate::scene::{Person, Scene, error};

const OFFLINE: [(&str, &str); 1] = [("scope", "openid email offline_access")];

async fn refresh(scene: &Scene, token: &str, more: &[(&str, &str)]) -> Answer {
    let fields = [&[("grant_type", "refresh_token"), ("refresh_token", token)], more].concat();
    scene.post_as("app", "/token", &fields).await
}

async fn first(scene: &Scene, person: &Person) -> String {
    scene.tokens(person, &OFFLINE).await["refresh_token"].as_str().unwrap().to_owned()
}

fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["refresh_token"].as_str().unwrap().to_owned()
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_used_once_and_outlives_the_session() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let first = first(&scene, &ada).await;
    let answer = refresh(&scene, &first, &[]).await;
    let second = token(&answer);
    assert_ne!(first, second);
    let (_, claims) = scene.verified(answer.json()["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims["sub"], ada.account.to_string());
    assert_eq!(claims["sid"], ada.session.to_string());
    assert!(claims.get("nonce").is_none());
    assert_eq!(scene.userinfo(answer.json()["access_token"].as_str().unwrap()).await.status, 200);
    // Less for once, and all of it again later.
    let less = refresh(&scene, &second, &[("scope", "openid")]).await;
    assert_eq!(less.json()["scope"], "openid");
    let third = token(&less);
    assert_eq!(error(&refresh(&scene, &third, &[("scope", "openid profile")]).await), "invalid_scope");
    let answer = refresh(&scene, &third, &[]).await;
    assert_eq!(answer.json()["scope"], "openid email offline_access", "a refused request uses nothing up");
    // The person leaves.
    let ended = scene.stage.issuer.run(&["sessions", "end", &ada.session.to_string()]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let answer = refresh(&scene, &token(&answer), &[]).await;
    let (_, claims) = scene.verified(answer.json()["id_token"].as_str().unwrap()).await.unwrap();
    assert!(claims.get("sid").is_none());
    // And is asked to be forgotten by all.
    let ended = scene.stage.issuer.run(&["sessions", "end", "--all-of", &ada.account.to_string()]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(error(&refresh(&scene, &token(&answer), &[]).await), "invalid_grant");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_is_used_again_ends_the_family() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let first = first(&scene, &ada).await;
    let second = refresh(&scene, &first, &[]).await;
    let third = refresh(&scene, &token(&second), &[]).await;
    let access = third.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(scene.userinfo(&access).await.status, 200);
    assert_eq!(error(&refresh(&scene, &first, &[]).await), "invalid_grant");
    assert_eq!(error(&refresh(&scene, &token(&third), &[]).await), "invalid_grant", "the newest as well");
    assert_eq!(scene.userinfo(&access).await.status, 401);
    assert_eq!(scene.audited("grant.end").lines().next().unwrap(), "denied refresh-token-used-again");
    assert_eq!(scene.sql("SELECT ended_because FROM grants"), "replayed");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_refresh_at_once_one_succeeds_and_the_family_ends() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let first = first(&scene, &ada).await;
    let (a, b) = tokio::join!(refresh(&scene, &first, &[]), refresh(&scene, &first, &[]));
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    let good = if a.status == 200 { a } else { b };
    assert_eq!(error(&refresh(&scene, &token(&good), &[]).await), "invalid_grant");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_its_clients_and_for_its_time() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let first = first(&scene, &ada).await;
    let fields = [("grant_type", "refresh_token"), ("refresh_token", first.as_str())];
    assert_eq!(error(&scene.post_as("old", "/token", &fields).await), "invalid_grant");
    let second = token(&refresh(&scene, &first, &[]).await);
    scene.sql("UPDATE issued_tokens SET expires_at = now() WHERE used_at IS NULL");
    assert_eq!(error(&refresh(&scene, &second, &[]).await), "invalid_grant");
    let access = scene.tokens(&ada, &[]).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(error(&refresh(&scene, &access, &[]).await), "invalid_grant", "an access token is none");
}
