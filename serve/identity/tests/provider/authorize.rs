use axum::http::Method;

use crate::scene::{BACK, FORM, Scene, encoded, good, returned};
use crate::support::stage::ISSUER;

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_signed_in_goes_back_with_a_code() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let answer = scene.authorize(Some(&ada), &good(&[])).await;
    assert!(answer.header("location").starts_with(&format!("{BACK}?")), "{}", answer.header("location"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(returned(&answer, "code").len(), 43);
    assert_eq!(returned(&answer, "state"), "the state");
    assert_eq!(returned(&answer, "iss"), ISSUER);
    // Without a state, and with a query of the client's own.
    let other = [("redirect_uri", "https://app.example.test/other?tenant=1"), ("state", ""), ("nonce", "")];
    let answer = scene.authorize(Some(&ada), &good(&other)).await;
    assert!(answer.header("location").starts_with("https://app.example.test/other?tenant=1&code="));
    assert_eq!(returned(&answer, "state"), "");
    assert_eq!(scene.audited("grant.begin").lines().count(), 2);
    assert_eq!(
        scene.stage.count("codes WHERE length(hash) = 32 AND expires_at <= now() + interval '60 s'"),
        "2"
    );
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_form_leads_to_the_same_question_in_the_address() {
    let scene = Scene::new().await;
    let ada = scene.person();
    // What a page of another site posts comes without the session's cookie.
    let answer = scene.stage.issuer.send(Method::POST, "/authorize", &[FORM], &encoded(&good(&[]))).await;
    assert_eq!(answer.status, 303);
    let location = answer.header("location").to_owned();
    let answer = scene.stage.issuer.ask(Method::GET, &location, &[("cookie", &ada.cookie)]).await;
    assert_eq!(returned(&answer, "state"), "the state");
    assert_eq!(returned(&answer, "code").len(), 43);
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_where_no_client_has_said() {
    let scene = Scene::new().await;
    let ada = scene.person();
    for changes in [
        [("client_id", "nobody")],
        [("client_id", "")],
        [("redirect_uri", "https://evil.example/callback")],
        [("redirect_uri", "https://app.example.test/callback/")],
        [("redirect_uri", "https://app.example.test/callback%0d%0a")],
        [("redirect_uri", "")],
    ] {
        let answer = scene.authorize(Some(&ada), &good(&changes)).await;
        assert_eq!(answer.status, 400, "{changes:?}");
        assert_eq!(answer.header("location"), "", "{changes:?}");
        assert_eq!(answer.json()["code"], "authorization-refused");
    }
    assert_eq!(scene.stage.count("grants"), "0");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_to_the_client() {
    let scene = Scene::new().await;
    let ada = scene.person();
    for (name, value, expected) in [
        ("response_type", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_mode", "form_post", "invalid_request"),
        ("scope", "email", "invalid_scope"),
        ("request", "a.b.c", "request_not_supported"),
        ("request_uri", "https://app.example.test/", "request_uri_not_supported"),
        ("registration", "{}", "registration_not_supported"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("prompt", "none login", "invalid_request"),
        ("claims", "not JSON", "invalid_request"),
        ("id_token_hint", "a.b.c", "invalid_request"),
    ] {
        let answer = scene.authorize(Some(&ada), &good(&[(name, value)])).await;
        assert_eq!(returned(&answer, "error"), expected, "{name}={value}");
        assert_eq!(returned(&answer, "state"), "the state");
        assert_eq!(returned(&answer, "iss"), ISSUER);
        assert!(!returned(&answer, "error_description").is_empty());
        assert_eq!(returned(&answer, "code"), "");
    }
    let twice = format!("/authorize?{}&nonce=another", encoded(&good(&[])));
    let answer = scene.stage.issuer.ask(Method::GET, &twice, &[("cookie", &ada.cookie)]).await;
    assert_eq!(returned(&answer, "error"), "invalid_request");
    assert_eq!(scene.stage.count("grants"), "0");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_says_whether_and_how_people_are_asked() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let silent = [("prompt", "none")];
    assert_eq!(returned(&scene.authorize(None, &good(&silent)).await, "error"), "login_required");
    assert_eq!(returned(&scene.authorize(Some(&ada), &good(&silent)).await, "code").len(), 43);
    // Nobody is signed in, or has to prove it again: nobody is sent back yet.
    for (person, changes) in [
        (None, ("prompt", "")),
        (Some(&ada), ("prompt", "login")),
        (Some(&ada), ("prompt", "select_account")),
        (Some(&ada), ("prompt", "consent")),
        (Some(&ada), ("max_age", "0")),
    ] {
        let answer = scene.authorize(person, &good(&[changes])).await;
        assert_eq!(answer.header("location"), "", "{changes:?}");
    }
    scene.sql("UPDATE browser_sessions SET authenticated_at = now() - interval '100 s'");
    let aged = |seconds| [("prompt", "none"), ("max_age", seconds)];
    assert_eq!(returned(&scene.authorize(Some(&ada), &good(&aged("1000"))).await, "error"), "");
    assert_eq!(returned(&scene.authorize(Some(&ada), &good(&aged("50"))).await, "error"), "login_required");
    assert_eq!(scene.authorize(Some(&ada), &good(&[("max_age", "50")])).await.header("location"), "");
    // A session that has ended is none.
    scene.sql("UPDATE browser_sessions SET expires_at = now()");
    assert_eq!(returned(&scene.authorize(Some(&ada), &good(&silent)).await, "error"), "login_required");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_about_whoever_was_meant() {
    let scene = Scene::new().await;
    let (ada, bob) = (scene.person(), scene.person());
    let tokens = scene.tokens(&ada, &[]).await;
    let hint = tokens["id_token"].as_str().unwrap();
    let silent = [("prompt", "none"), ("id_token_hint", hint)];
    assert_eq!(returned(&scene.authorize(Some(&ada), &good(&silent)).await, "error"), "");
    assert_eq!(returned(&scene.authorize(Some(&bob), &good(&silent)).await, "error"), "login_required");
    let answer = scene.authorize(Some(&bob), &good(&[("id_token_hint", hint)])).await;
    assert_eq!(answer.header("location"), "", "somebody else has to sign in");
    let claims = format!(r#"{{"id_token":{{"sub":{{"value":"{}"}}}}}}"#, ada.account);
    let silent = [("prompt", "none"), ("claims", claims.as_str())];
    assert_eq!(returned(&scene.authorize(Some(&ada), &good(&silent)).await, "error"), "");
    assert_eq!(returned(&scene.authorize(Some(&bob), &good(&silent)).await, "error"), "login_required");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_may_be_as_long_as_it_may_be_and_the_client_hears_of_more() {
    let scene = Scene::new().await;
    let long = |letter: &str, count: usize| letter.repeat(count);
    let (state, nonce, who) = (long("s", 1_024), long("n", 512), long("h", 254));
    let changes = [("state", state.as_str()), ("nonce", &nonce), ("login_hint", &who)];
    let page = scene.authorize(None, &good(&changes)).await;
    assert!(page.status == 200 && page.header("location").is_empty(), "{}", page.text);
    let (hint, claims) = (long("t", 8_192), long(" ", 4_000));
    let all = [&changes[..], &[("id_token_hint", hint.as_str()), ("claims", &claims)]].concat();
    assert_eq!(returned(&scene.authorize(None, &good(&all)).await, "error"), "invalid_request");
    // In the browser these take more than it keeps.
    let (state, nonce) = (long("\"", 1_024), long("\"", 512));
    let answer = scene.authorize(None, &good(&[("state", &state), ("nonce", &nonce)])).await;
    assert_eq!(
        (returned(&answer, "error"), returned(&answer, "state")),
        ("invalid_request".to_owned(), state)
    );
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_person_whom_a_client_has_sent_wrongly_reads_what_to_do() {
    let scene = Scene::new().await;
    for (path, title, detail) in [
        (
            "/authorize?client_id=nobody",
            "That site cannot let you sign in here",
            "The application is unknown.",
        ),
        ("/logout?id_token_hint=x", "That site cannot sign you out here", "none of this issuer"),
    ] {
        let page = scene.stage.issuer.ask(Method::GET, path, &[("accept", "text/html")]).await;
        assert_eq!(page.status, 400);
        assert!(page.text.contains(title) && page.text.contains(detail), "{}", page.text);
        assert!(!page.text.contains("Go back, look at what was sent"), "{}", page.text);
    }
}
