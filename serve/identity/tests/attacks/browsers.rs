//! Attacks by way of the victim's own browser.

use axum::http::Method;
use serde_json::json;

use crate::scene::{SESSION, Scene, encoded, good, secret};
use crate::support::people::{state_of, token_of};
use crate::support::stage::ISSUER;
use crate::world::at;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn session_fixation() {
    let scene = Scene::new().await;
    // A session that nobody has begun, and one of Eve's.
    scene.awaits("github", "eve", &json!({}));
    let mut eves = scene.browser();
    scene.enters(&mut eves, "github").await;
    let eve = scene.who(&mut eves).await.unwrap()["sub"].clone();
    let hers = eves.cookie(ISSUER, SESSION).unwrap().to_owned();
    for planted in [secret(), hers] {
        let mut adas = scene.browser();
        adas.plant(ISSUER, SESSION, &planted);
        scene.awaits("github", "ada", &json!({}));
        scene.enters(&mut adas, "github").await;
        let ada = scene.who(&mut adas).await.unwrap()["sub"].clone();
        assert_ne!(ada, eve);
        assert_ne!(adas.cookie(ISSUER, SESSION), Some(planted.as_str()));
        // Whoever planted it is not Ada by it.
        let mut thief = scene.browser();
        thief.plant(ISSUER, SESSION, &planted);
        assert!(scene.who(&mut thief).await.is_none());
        // Signing in once more changes the secret as well.
        let before = adas.cookie(ISSUER, SESSION).unwrap().to_owned();
        scene.enters(&mut adas, "github").await;
        thief.plant(ISSUER, SESSION, &before);
        assert!(scene.who(&mut thief).await.is_none());
        assert_eq!(scene.who(&mut adas).await.unwrap()["sub"], ada);
    }
    // Two of that name are not this site's doing, and nothing of them is believed.
    let mut adas = scene.browser();
    scene.enters(&mut adas, "github").await;
    let cookie = format!("{SESSION}={}; {SESSION}={}", secret(), adas.cookie(ISSUER, SESSION).unwrap());
    let answer = scene.stage.issuer.ask(Method::GET, "/account", &[("cookie", &cookie)]).await;
    assert_eq!(answer.header("location"), "/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn login_csrf() {
    let scene = Scene::new().await;
    // Eve's own answer, which Ada's browser is sent to: whether Ada has begun something or not.
    scene.awaits("google", "eve", &json!({}));
    let mut eves = scene.browser();
    let state = scene.begun(&mut eves).await;
    let back = scene.returns(&mut eves, &state, "google").await;
    let mut adas = scene.browser();
    assert_eq!(adas.open(&back).await.status, 400);
    let mine = scene.begun(&mut adas).await;
    assert_eq!(adas.open(&back).await.status, 400);
    assert!(adas.cookie(ISSUER, SESSION).is_none());
    assert_eq!((scene.believed(), scene.redeemed("google")), (0, 0));
    // Nor does another site begin or answer anything in Ada's browser.
    let button = at(&format!("/attempts/{mine}/google"));
    for from in
        ["https://evil.example", "null", "https://id.example.test.evil.example", "http://id.example.test"]
    {
        assert_eq!(adas.post(&button, from, &[]).await.status, 403, "{from}");
    }
    assert_eq!(adas.send(Method::POST, &button, None, &[], "").await.status, 403);
    assert_eq!(adas.open(&button).await.status, 405);
    for path in [format!("/linking/{mine}/new"), format!("/recover/{}", secret())] {
        assert_eq!(adas.post(&at(&path), "https://evil.example", &[]).await.status, 403, "{path}");
    }
    // Nor changes her account, or signs her out.
    scene.awaits("google", "ada", &json!({}));
    scene.enters(&mut adas, "google").await;
    let token = token_of(&adas.open(&at("/account")).await.text);
    for path in ["/account/sign-out", "/account/delete", "/account/sessions/end", "/account/grants/revoke"] {
        let crossed = adas.post(&at(path), "https://evil.example", &[("csrf_token", &token)]).await;
        assert_eq!(crossed.status, 403, "{path}");
        let without = adas
            .post(&at(path), ISSUER, &[("client_id", "app"), ("confirmation", "delete my account")])
            .await;
        assert_eq!(without.status, 403, "{path}: {}", without.text);
    }
    assert!(scene.who(&mut adas).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn clickjacking() {
    let scene = Scene::new().await;
    scene.awaits("microsoft", "ada", &json!({}));
    let mut browser = scene.browser();
    let state = scene.begun(&mut browser).await;
    let question = scene.press(&mut browser, &state, "microsoft").await.header("location").to_owned();
    let mut pages = vec![browser.open(&at("/sign-in")).await, browser.open(&at(&question)).await];
    pages.push(browser.open(&at(&format!("/authorize?{}", encoded(&good(&[("prompt", "login")]))))).await);
    let state = state_of(&pages[1].text);
    browser.post(&at(&format!("/linking/{state}/new")), ISSUER, &[]).await;
    for path in [
        "/account",
        "/account/link",
        "/account/delete",
        "/logout?client_id=app",
        "/nowhere",
        "/authorize?client_id=nobody",
        "/callback/google?code=x",
        &format!("/recover/{}", secret()),
    ] {
        pages.push(browser.open(&at(path)).await);
    }
    for page in pages {
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}: {}", page.text);
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-frame-options"), "DENY", "{}", page.text);
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        assert!(!page.text.contains("<script"), "{}", page.text);
    }
}
