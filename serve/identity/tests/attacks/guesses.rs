//! Guesses at every credential: they are slowed where they come from, and whoever has the right one is let in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::Method;
use foundation::testing::program::Answer;
use login_providers::Provider;
use serde_json::json;
use tokio::sync::Mutex;
use url::Url;

use crate::scene::{OFFLINE, SESSION, Scene, basic, encoded, error, good, redemption, returned, secret};
use crate::support::stage::{CLIENT_SECRET, ISSUER};
use crate::world::at;

/// Asks as a client from this address.
async fn client(scene: &Scene, path: &str, secret: &str, from: &str, fields: &[(&str, &str)]) -> Answer {
    let headers = [("authorization", &*basic("app", secret)), ("x-forwarded-for", from)]
        .map(|(name, value)| (name, value.to_owned()));
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    scene.post(path, &headers, fields).await
}

fn waits(answer: &Answer) {
    assert_eq!(answer.status, 429, "{}", answer.text);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
}

/// Guesses until somebody has to wait, which is after this many at the earliest: what flows back meanwhile lets more through.
async fn until_slowed(at_least: usize, usual: u16, guess: impl AsyncFn() -> Answer) -> Answer {
    for count in 0..at_least * 5 + 10 {
        let answer = guess().await;
        if answer.status == 429 {
            assert!(count >= at_least, "slowed after {count}");
            waits(&answer);
            return answer;
        }
        assert_eq!(answer.status, usual, "{}", answer.text);
    }
    panic!("nobody is slowed");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn at_a_clients_secret() {
    let scene = Scene::new().await;
    for (number, path) in ["/token", "/introspect", "/revoke"].into_iter().enumerate() {
        let attacker = format!("198.51.100.{number}");
        let guess = async || client(&scene, path, "wrong", &attacker, &[("token", "x")]).await;
        until_slowed(10, 401, guess).await;
        let victim = client(&scene, path, CLIENT_SECRET, "192.0.2.1", &[("token", "x")]).await;
        assert!(victim.status == 200 || error(&victim) == "invalid_request", "{path}: {}", victim.text);
        assert_ne!(victim.status, 429, "{path}");
    }
    let audited = scene.audited("client.authenticate");
    assert!(
        audited.lines().count() >= 30 && audited.lines().all(|line| line == "denied wrong-proof"),
        "{audited}"
    );
    let named = "audit_events WHERE action = 'client.authenticate' AND resource_id = 'app'";
    assert_eq!(scene.stage.count(named), audited.lines().count().to_string());
    // From ever so many addresses: strangers wait for the account's sake, and the client is let in where it was before.
    let guesser = |number: u32| format!("2001:db8:{:x}:{:x}::1", 0xa000 + number / 0x100, number % 0x100);
    let mut number = 0;
    while client(&scene, "/introspect", "wrong", &guesser(number), &[("token", "x")]).await.status != 429 {
        number += 1;
        assert!(number < 1_000, "nobody is slowed");
    }
    assert!(number >= 250, "{number}");
    for _ in 0..20 {
        let victim = client(&scene, "/introspect", CLIENT_SECRET, "192.0.2.1", &[("token", "x")]).await;
        assert_eq!(victim.status, 200, "{}", victim.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn at_clients_that_there_are_not() {
    let scene = Scene::new().await;
    let unknown = async |from: &str| {
        let header = basic(&secret(), "wrong");
        scene.post("/token", &[("authorization", &header), ("x-forwarded-for", from)], &[]).await
    };
    until_slowed(60, 401, async || unknown("198.51.100.1").await).await;
    assert_eq!(unknown("192.0.2.1").await.status, 401, "elsewhere nobody is slowed");
    let audited = scene.audited("client.authenticate");
    assert!(
        audited.lines().count() >= 61 && audited.lines().all(|line| line == "denied unknown"),
        "{audited}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn at_codes_and_tokens() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    // Guesses come from the application's own server, because somebody brings them to it.
    let here = "192.0.2.1";
    let tried =
        async |path: &str, fields: &[(&str, &str)]| client(&scene, path, CLIENT_SECRET, here, fields).await;
    let refresh = async |token: &str| {
        tried("/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    };
    for guess in ["x".to_owned(), secret()] {
        for _ in 0..10 {
            assert_eq!(error(&tried("/token", &redemption(&guess, &[])).await), "invalid_grant");
            assert_eq!(error(&refresh(&guess).await), "invalid_grant");
        }
    }
    let started = Instant::now();
    until_slowed(20, 400, async || tried("/token", &redemption(&secret(), &[])).await).await;
    assert!(started.elapsed() >= Duration::from_secs(1), "its answer waits");
    until_slowed(0, 400, async || refresh(&secret()).await).await;
    // Many at once have nothing of it: the answers that wait are few.
    let guess = secret();
    let many = futures(24, async || tried("/introspect", &[("token", &guess)]).await).await;
    assert!(many.iter().any(|answer| answer.status == 429), "too many wait");
    assert!(many.iter().all(|answer| answer.status == 429 || answer.json()["active"] == false));
    // Whoever has the right one is let in at once, from the same server.
    for _ in 0..3 {
        let code = scene.code(&mut browser, &[OFFLINE]).await;
        until_slowed(0, 400, async || refresh(&secret()).await).await;
        refresh(&secret()).await;
        let answer = tried("/token", &redemption(&code, &[])).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(refresh(answer.json()["refresh_token"].as_str().unwrap()).await.status, 200);
    }
}

/// So many of the same at once.
async fn futures<T>(count: usize, make: impl AsyncFn() -> T) -> Vec<T> {
    let mut all: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        all.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                done.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn at_access_tokens() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    let good = scene.tokens(&mut browser, &[]).await["access_token"].as_str().unwrap().to_owned();
    until_slowed(60, 401, async || scene.userinfo(&secret()).await).await;
    assert_eq!(scene.userinfo(&good).await.status, 200, "the right one, from the same address");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn at_an_operators_link() {
    let scene = Scene::new().await;
    scene.enters(&mut scene.browser(), "google").await;
    let account = scene.sql("SELECT id FROM accounts");
    let link = scene.stage.issuer.run(&["recover", &account]);
    let link = Url::parse(String::from_utf8_lossy(&link.stdout).trim()).unwrap();
    let guesser = Mutex::new(scene.browser());
    let guess = async || {
        let url = at(&format!("/recover/{}", secret()));
        guesser.lock().await.post(&url, ISSUER, &[]).await
    };
    until_slowed(60, 404, guess).await;
    let mut victim = scene.browser();
    assert_eq!(victim.post(&link, ISSUER, &[]).await.header("location"), "/account");
    assert!(victim.cookie(ISSUER, SESSION).is_some());
    assert!(guesser.lock().await.cookie(ISSUER, SESSION).is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn at_a_sessions_cookie() {
    let scene = Scene::new().await;
    let mut victim = scene.browser();
    scene.enters(&mut victim, "google").await;
    let good = victim.cookie(ISSUER, SESSION).unwrap().to_owned();
    // One address for both: they share it.
    let ask = async |value: &str| {
        let cookie = format!("{SESSION}={value}");
        let headers =
            [("cookie", cookie.as_str()), ("accept", "text/html"), ("x-forwarded-for", "198.51.100.1")];
        scene.stage.issuer.ask(Method::GET, "/account", &headers).await
    };
    let mut guesses = 0;
    loop {
        let started = Instant::now();
        assert_eq!(ask(&secret()).await.header("location"), "/sign-in", "a dead cookie locks nobody out");
        if started.elapsed() >= Duration::from_secs(1) {
            break;
        }
        guesses += 1;
        assert!(guesses < 1_000, "nobody waits");
    }
    assert!(guesses >= 120, "{guesses}");
    let guess = secret();
    let many = futures(24, || ask(&guess)).await;
    let refused: Vec<_> = many.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty() && many.len() > refused.len(), "too many wait");
    waits(refused[0]);
    assert!(refused[0].text.contains("id=\"again\" href=\"/account\""), "{}", refused[0].text);
    let started = Instant::now();
    assert_eq!(ask(&good).await.status, 200);
    assert!(started.elapsed() < Duration::from_secs(1), "the right one does not wait");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn at_a_hint() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    let right = scene.tokens(&mut browser, &[]).await["id_token"].as_str().unwrap().to_owned();
    let (head, _) = right.rsplit_once('.').unwrap();
    let guess = || format!("{head}.{}{}", secret(), secret());
    let logout = |hint: &str| at(&format!("/logout?{}", encoded(&[("id_token_hint", hint)])));
    let browser = Mutex::new(browser);
    until_slowed(60, 400, async || browser.lock().await.open(&logout(&guess())).await).await;
    let silent = |hint: &str| {
        at(&format!("/authorize?{}", encoded(&good(&[("prompt", "none"), ("id_token_hint", hint)]))))
    };
    until_slowed(0, 303, async || browser.lock().await.open(&silent(&guess())).await).await;
    let mut browser = browser.into_inner();
    assert_eq!(
        returned(&browser.open(&silent(&right)).await, "error"),
        "",
        "the right one, at the same address"
    );
    assert_eq!(browser.open(&logout(&right)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn at_beginning_a_sign_in() {
    let scene = Scene::new().await;
    let mut eager = scene.browser();
    let state = scene.begun(&mut eager).await;
    let button = at(&format!("/attempts/{state}/google"));
    let eager = Mutex::new(eager);
    let slowed = until_slowed(300, 303, async || eager.lock().await.post(&button, ISSUER, &[]).await).await;
    assert!(slowed.text.contains("Too many attempts"), "{}", slowed.text);
    scene.enters(&mut scene.browser(), "google").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn at_finishing_a_sign_in() {
    let scene = Scene::new().await;
    let mut guesser = scene.browser();
    // Without an attempt nothing is tried, so that no page of another site can slow a visitor by it.
    for _ in 0..70 {
        assert_eq!(
            guesser.open(&at(&format!("/callback/github?code=x&state={}", secret()))).await.status,
            400
        );
    }
    let state = scene.begun(&mut guesser).await;
    scene.leave(&mut guesser, &state, "github").await;
    let name = format!("__Host-attempt-{}", &state[..8]);
    let kept = guesser.cookie(ISSUER, &name).unwrap().to_owned();
    let (guesser, guesses) = (Mutex::new(guesser), AtomicUsize::new(0));
    let guess = async || {
        let mut guesser = guesser.lock().await;
        guesses.fetch_add(1, Ordering::Relaxed);
        guesser.plant(ISSUER, &name, &kept);
        guesser.open(&at(&format!("/callback/github?code={}&state={state}", secret()))).await
    };
    let slowed = until_slowed(60, 400, guess).await;
    assert!(slowed.text.contains("Too many attempts"), "{}", slowed.text);
    let asked = guesses.load(Ordering::Relaxed) - 1;
    assert_eq!(
        (scene.redeemed("github"), scene.denied().len()),
        (asked, asked),
        "the provider is not bothered any more"
    );
    // By Apple's form neither.
    let apple = scene.world.origin(Provider::Apple);
    let post = async || {
        guess().await;
        guesser.lock().await.post(&at("/callback/apple"), &apple, &[("code", "x")]).await
    };
    until_slowed(0, 303, post).await;
    scene.awaits("github", "ada", &json!({}));
    scene.enters(&mut scene.browser(), "github").await;
    // Whoever refuses has guessed nothing.
    let mut undecided = scene.browser();
    scene.awaits("github", "bob", &json!({ "refuses": true }));
    for _ in 0..65 {
        let state = scene.begun(&mut undecided).await;
        assert_eq!(scene.press(&mut undecided, &state, "github").await.status, 403);
    }
}
