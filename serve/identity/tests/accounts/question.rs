//! Signing in by oneself, and the question of somebody new.

use crate::support::people;
use crate::support::stage::{ISSUER, Stage};
use crate::{url, visitor};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_sign_in_page_has_a_button_for_each_provider_and_no_script() {
    let stage = Stage::new(people::settings).await;
    let mut browser = visitor(&stage);
    let page = browser.open(&url("/sign-in")).await;
    assert_eq!(page.status, 200);
    let state = people::state_of(&page.text);
    for (name, text) in [
        ("google", "Sign in with Google"),
        ("github", "Sign in with GitHub"),
        ("microsoft", "Sign in with Microsoft"),
        ("apple", "Sign in with Apple"),
    ] {
        assert!(page.text.contains(&format!("action=\"/attempts/{state}/{name}\"")), "{name}");
        assert!(page.text.contains(&format!("id=\"sign-in-{name}\"")), "{name}");
        assert!(page.text.contains(text), "{text}");
    }
    assert!(!page.text.contains("<script") && !page.text.contains(" style=") && !page.text.contains(" on"));
    assert!(page.header("content-security-policy").contains("form-action 'self' https:;"));
    assert!(browser.cookie(ISSUER, &format!("__Host-attempt-{}", &state[..8])).is_some());
    // What pages load is there, and kept.
    let style = page.text.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let style = browser.open(&url(style)).await;
    assert_eq!((style.status.as_u16(), style.header("content-type")), (200, "text/css; charset=utf-8"));
    assert!(style.header("cache-control").contains("immutable"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_question_is_for_the_browser_that_was_asked_and_tells_nothing() {
    let stage = Stage::new(people::settings).await;
    people::account(&stage.servers, "ada");
    let mut pages = Vec::new();
    for address in ["ada@example.test", "eve@example.test"] {
        let mut browser = visitor(&stage);
        let state = people::state_of(&browser.open(&url("/sign-in")).await.text);
        let path = url(&format!("/linking/{state}"));
        assert_eq!(browser.open(&path).await.status, 400, "nobody waits yet");
        let (name, value) = people::waiting(&stage.servers, &state, address, address);
        browser.plant(ISSUER, &name, &value);
        let page = browser.open(&path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        pages.push(page.text.replace(address, "ADDRESS").replace(&state, "STATE"));
        // Elsewhere there is no question at this address.
        assert_eq!(visitor(&stage).open(&path).await.status, 400);
        let new = url(&format!("/linking/{state}/new"));
        let from_elsewhere = browser.post(&new, "https://evil.test", &[]).await;
        assert_eq!(from_elsewhere.status, 403);
    }
    assert_eq!(pages[0], pages[1], "the same whether there is such an account or not");
    assert_eq!(stage.count("accounts"), "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_is_new_goes_on_once() {
    let stage = Stage::new(people::settings).await;
    people::account(&stage.servers, "ada");
    let mut browser = visitor(&stage);
    let state = people::state_of(&browser.open(&url("/sign-in")).await.text);
    let (name, value) = people::waiting(&stage.servers, &state, "t:o", "ada@example.test");
    browser.plant(ISSUER, &name, &value);
    let attempt_name = format!("__Host-attempt-{}", &state[..8]);
    let attempt = browser.cookie(ISSUER, &attempt_name).unwrap().to_owned();
    let new = url(&format!("/linking/{state}/new"));
    let answer = browser.post(&new, ISSUER, &[]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/account"));
    assert!(browser.cookie(ISSUER, &name).is_none());
    assert_eq!(stage.count("accounts"), "2");
    assert_eq!(stage.count("identities WHERE provider = 'microsoft'"), "1");
    // The same cookies, kept by somebody, let nobody in.
    let mut thief = visitor(&stage);
    thief.plant(ISSUER, &name, &value);
    thief.plant(ISSUER, &attempt_name, &attempt);
    let answer = thief.post(&new, ISSUER, &[]).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(thief.cookie(ISSUER, "__Host-session").is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_goes_wrong_is_a_page_for_people_and_a_problem_for_programs() {
    let stage = Stage::new(people::settings).await;
    let page = visitor(&stage).open(&url("/nowhere")).await;
    assert_eq!(page.status, 404);
    assert!(page.text.contains("There is nothing here") && page.text.contains("id=\"request\""));
    let problem = stage.issuer.get("/nowhere").await;
    assert_eq!(problem.header("content-type"), "application/problem+json");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn however_often_somebody_begins_the_browser_can_go_on() {
    let stage = Stage::new(people::settings).await;
    let mut browser = visitor(&stage);
    let mut state = String::new();
    for _ in 0..100 {
        let page = browser.open(&url("/sign-in")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        state = people::state_of(&page.text);
    }
    assert!(browser.cookie(ISSUER, &format!("__Host-attempt-{}", &state[..8])).is_some());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_does_not_want_to_sign_in_goes_back_to_the_client_which_hears_it() {
    let stage = Stage::new(people::settings).await;
    let mut browser = visitor(&stage);
    let asked = "/authorize?client_id=app&redirect_uri=https%3A%2F%2Fapp.example.test%2Fcallback&response_type=code\
                 &scope=openid&state=theirs&code_challenge_method=S256\
                 &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let page = browser.open(&url(asked)).await;
    assert!(
        page.text.contains("id=\"cancel\"") && page.text.contains("Back to Garden planner"),
        "{}",
        page.text
    );
    let state = people::state_of(&page.text);
    let cancel = url(&format!("/cancel/{state}"));
    assert_eq!(browser.post(&cancel, "https://evil.test", &[]).await.status, 403);
    assert_eq!(
        visitor(&stage).post(&cancel, ISSUER, &[]).await.status,
        400,
        "another browser has begun nothing"
    );
    // Also from the question whether there is an account already.
    let (name, value) = people::waiting(&stage.servers, &state, "t:o", "ada@example.test");
    browser.plant(ISSUER, &name, &value);
    let question = browser.open(&url(&format!("/linking/{state}"))).await;
    assert!(question.text.contains(cancel.path()), "{}", question.text);
    let answer = browser.post(&cancel, ISSUER, &[]).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let back = url::Url::parse(answer.header("location")).unwrap();
    assert!(back.as_str().starts_with("https://app.example.test/callback?"), "{back}");
    let said: std::collections::BTreeMap<_, _> = back.query_pairs().into_owned().collect();
    assert_eq!((said["error"].as_str(), said["state"].as_str()), ("access_denied", "theirs"));
    assert_eq!(said["iss"], ISSUER);
    assert!(browser.cookie(ISSUER, "__Host-a").is_none(), "nothing waits any more");
    // Who came without a client has none to go back to.
    assert!(!browser.open(&url("/sign-in")).await.text.contains("id=\"cancel\""));
}
