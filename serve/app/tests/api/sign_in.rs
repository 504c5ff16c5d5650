//! Signing in at a real issuer, by the real flow, and everything that must not pass for it.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use foundation::auth::session::COOKIE;
use foundation::testing::issuer::{CLIENT_SECRET, Fault, Identity};
use foundation::testing::servers::Server;
use serde_json::{Value, json};

use crate::stage::Stage;
use crate::support::application::{Answer, Application, PUBLIC_URL, environment};
use crate::support::browser::Browser;
use crate::support::seed;

/// The audit events of signing in and out, the oldest first: action, result and reason.
fn events(stage: &Stage, of: &str) -> Vec<String> {
    let sql = format!(
        "SELECT concat_ws(' ', action, result, changes->'reason'->>1) FROM audit_events WHERE {of} \
         ORDER BY occurred_at, id"
    );
    stage.servers.sql(&sql, "app").lines().map(str::to_owned).collect()
}

fn is_problem(answer: &Answer, status: u16, code: &str) {
    let said = answer.json();
    assert_eq!((answer.status.as_u16(), said["code"].as_str()), (status, Some(code)), "{}", answer.text);
}

/// A parameter of a path of the application.
fn query(path: &str, name: &str) -> String {
    let url: url::Url = format!("{PUBLIC_URL}{path}").parse().unwrap();
    url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned()
}

async fn me(stage: &Stage, browser: &Browser<'_>) -> Answer {
    stage.page_of(browser).get("/api/v1/me").await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn somebody_signs_in_and_out() {
    let stage = Stage::new().await;
    stage.issuer.awaits(Some(Identity::of("ada")));
    let mut browser = stage.browser();
    let url = browser.begins("/sign-in?return_to=/tasks%3Fstate%3Dopen").await;
    assert!(url.as_str().starts_with(&format!("{}/authorize?response_type=code&", stage.issuer.name())));
    assert_eq!(browser.session(), None);
    let callback = browser.at_issuer(&stage.issuer, &url).await;
    let answer = browser.get(&callback).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (StatusCode::SEE_OTHER, "/tasks?state=open"),
        "{}",
        answer.text
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let first = browser.session().unwrap().to_owned();

    let who = me(&stage, &browser).await.json();
    assert_eq!((&who["kind"], &who["name"]), (&json!("person"), &json!("ada")));
    assert_eq!((&who["email"], &who["organization"]), (&json!("ada@example.test"), &json!(null)));
    let person = seed::person_of(&stage.servers, "ada");
    assert_eq!(who["id"], json!(person));
    let nowhere = "organization_id = '00000000-0000-0000-0000-000000000000'";
    assert_eq!(events(&stage, nowhere), ["session.sign-in success"]);
    assert_eq!(
        stage.count(&format!("audit_events WHERE actor_kind = 'person' AND actor_id = '{person}'")),
        "1"
    );

    // Somebody else says at the issuer who it is.
    stage.issuer.awaits(None);
    let mut asked = stage.browser();
    let url = asked.begins("/sign-in").await;
    let back = asked.says(&stage.issuer, &url, "bob").await;
    assert_eq!(asked.get(&back).await.status, StatusCode::SEE_OTHER);
    assert_eq!(me(&stage, &asked).await.json()["name"], "bob");
    stage.issuer.awaits(Some(Identity::of("ada")));

    // Again, as a member: in the same browser, by a new session in the place of the one before.
    seed::member(&stage.servers, stage.organization, person, "owner");
    let answer = browser.signs_in(&stage.issuer, "/sign-in").await;
    assert_eq!(answer.header("location"), "/");
    assert_ne!(browser.session().unwrap(), first);
    let who = me(&stage, &browser).await.json();
    assert_eq!(
        who["organization"],
        json!({"id": stage.organization, "name": "first", "role": "owner"}),
        "{who}"
    );
    let mut old = stage.browser();
    old.plant(COOKIE, &first);
    is_problem(&me(&stage, &old).await, 401, "unauthenticated");
    assert_eq!(stage.count("people"), "2");

    is_problem(&browser.post_bare("/sign-out", "").await, 403, "cross-site");
    let last = browser.session().unwrap().to_owned();
    let out = browser.post("/sign-out", &[]).await;
    assert_eq!(out.status, StatusCode::SEE_OTHER, "{}", out.text);
    let location = out.header("location").to_owned();
    for part in
        ["/end-session?", "client_id=reference+app&", "id_token_hint=ey", "&post_logout_redirect_uri="]
    {
        assert!(location.contains(part), "{location}");
    }
    assert_eq!(browser.at_issuer(&stage.issuer, &location.parse().unwrap()).await, "/");
    assert_eq!(browser.session(), None);
    old.plant(COOKIE, &last);
    is_problem(&me(&stage, &old).await, 401, "unauthenticated");
    // Whoever is signed out already is so.
    assert_eq!(old.post_bare("/sign-out", "").await.header("location"), "/");
    let here = format!("organization_id = '{}'", stage.organization);
    assert_eq!(events(&stage, &here), ["session.sign-in success", "session.sign-out success"]);

    // What only the issuer, the browser and the application may know is in no log.
    let log: String = stage.application.log().iter().map(Value::to_string).collect();
    assert!(log.contains("session.sign-in") && log.contains(&person.to_string()), "{log}");
    let (state, code) = (query(&callback, "state"), query(&callback, "code"));
    for secret in [CLIENT_SECRET, &state, &code, &first, &last, "eyJ"] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_answer_of_the_issuer_is_good_once_and_in_its_browser_alone() {
    let stage = Stage::new().await;
    let issuer = &stage.issuer;
    issuer.awaits(Some(Identity::of("ada")));
    let mut browser = stage.browser();

    let url = browser.begins("/sign-in").await;
    let callback = browser.at_issuer(issuer, &url).await;
    // Somebody else's answer, which would sign this person in as somebody else; it is used up by the attempt.
    let mut other = stage.browser();
    is_problem(&other.get(&callback).await, 400, "sign-in-expired");
    other.begins("/sign-in").await;
    is_problem(&other.get(&callback).await, 400, "sign-in-expired");
    is_problem(&browser.get(&callback).await, 400, "sign-in-expired");
    assert_eq!((browser.session(), other.session()), (None, None));

    let url = browser.begins("/sign-in").await;
    let callback = browser.at_issuer(issuer, &url).await;
    assert_eq!(browser.get(&callback).await.status, StatusCode::SEE_OTHER);
    is_problem(&browser.get(&callback).await, 400, "sign-in-expired");

    // A code of another sign-in: the issuer finds that its challenge has another verifier.
    let (mut victim, mut thief) = (stage.browser(), stage.browser());
    let url = victim.begins("/sign-in").await;
    let stolen = victim.at_issuer(issuer, &url).await;
    let url = thief.begins("/sign-in").await;
    let own = thief.at_issuer(issuer, &url).await;
    let injected = own.replace(&query(&own, "code"), &query(&stolen, "code"));
    is_problem(&thief.get(&injected).await, 403, "sign-in-failed");
    // And the code is used up.
    is_problem(&victim.get(&stolen).await, 403, "sign-in-failed");

    let mut returns = async |query: &str| {
        let url = browser.begins("/sign-in").await;
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let issuer = format!("iss={}", issuer.name());
        browser.get(&format!("/sign-in/callback?state={state}&{issuer}&{query}")).await
    };
    is_problem(&returns("").await, 403, "sign-in-failed");
    is_problem(&returns("code=guessed").await, 403, "sign-in-failed");
    is_problem(&returns("error=access_denied&error_description=%3Cb%3E").await, 403, "sign-in-failed");
    is_problem(&returns("error=temporarily_unavailable").await, 503, "sign-in-unavailable");
    is_problem(&returns("code=a&code=b").await, 400, "sign-in-expired");
    // A person sees a page that offers to sign in again.
    let page = [("accept", "text/html")];
    let page = browser.send(Method::GET, "/sign-in/callback?state=a&code=a", &page, "").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (StatusCode::BAD_REQUEST, "text/html; charset=utf-8")
    );
    assert!(page.text.contains("href=\"/sign-in\""), "{}", page.text);
    let policy = page.header("content-security-policy");
    assert!(policy.contains(&format!("form-action 'self' {};", issuer.name())), "{policy}");
    for query in ["", "?code=a", "?state=a&code=a", &format!("?state={}&code=a", "A".repeat(43))] {
        is_problem(&stage.browser().get(&format!("/sign-in/callback{query}")).await, 400, "sign-in-expired");
    }
    assert_eq!(
        events(&stage, "true"),
        [
            "session.sign-in denied other-browser",
            "session.sign-in success",
            "session.sign-in denied code-refused",
            "session.sign-in denied code-refused",
            "session.sign-in denied no-code",
            "session.sign-in denied code-refused",
            "session.sign-in denied refused-by-issuer",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_an_issuer_should_not_say_is_not_believed() {
    let stage = Stage::new().await;
    let faults = [
        (Fault::WrongNonce, "token-nonce"),
        (Fault::WrongAudience, "token-audience"),
        (Fault::WrongIssuer, "token-issuer"),
        (Fault::Expired, "token-old"),
        (Fault::NoAlgorithm, "token-malformed"),
        (Fault::SignedWithSecret, "token-algorithm"),
        (Fault::SignedWithPublicKey, "token-algorithm"),
        (Fault::ForgedKey, "token-not-signed"),
        (Fault::UnknownKey, "token-not-signed"),
        (Fault::OtherIssuerAnswers, "other-issuer"),
    ];
    stage.issuer.awaits(Some(Identity::of("eve")));
    for (fault, _) in faults {
        stage.issuer.does_wrong(Some(fault));
        let mut browser = stage.browser();
        let answer = browser.signs_in(&stage.issuer, "/sign-in").await;
        is_problem(&answer, 403, "sign-in-failed");
        assert_eq!(browser.session(), None, "{fault:?}");
    }
    let reasons: Vec<String> =
        faults.iter().map(|(_, reason)| format!("session.sign-in denied {reason}")).collect();
    assert_eq!(events(&stage, "true"), reasons);
    assert_eq!(stage.count("people"), "0");
    stage.issuer.does_wrong(None);
    assert!(stage.signed_in("ada").await.session().is_some());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_issuer_changes_its_keys() {
    let stage = Stage::new().await;
    stage.signed_in("ada").await;
    assert_eq!(stage.issuer.asked_for("/keys"), 1);
    stage.signed_in("ada").await;
    assert_eq!(stage.issuer.asked_for("/keys"), 1, "they are kept");
    stage.issuer.rotates_keys();
    stage.signed_in("ada").await;
    assert_eq!(stage.issuer.asked_for("/keys"), 2, "a new one is looked for");
    // Whoever sends tokens of unknown keys does not make the application ask each time.
    stage.issuer.does_wrong(Some(Fault::UnknownKey));
    for _ in 0..3 {
        is_problem(&stage.browser().signs_in(&stage.issuer, "/sign-in").await, 403, "sign-in-failed");
    }
    assert_eq!(stage.issuer.asked_for("/keys"), 2);
    assert_eq!(stage.issuer.asked_for("/.well-known/openid-configuration"), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_issuer_may_be_away() {
    let mut stage = Stage::new().await;
    // The application is ready without it, and nobody is kept waiting for long.
    stage.issuer.stop().await;
    stage.application.wait_for_missing(&[]).await;
    let answer = stage.browser().get("/sign-in").await;
    is_problem(&answer, 503, "sign-in-unavailable");
    assert_eq!(answer.header("retry-after"), "5");
    stage.issuer.start_again().await;
    signing_in_begins(&stage).await;
    stage.signed_in("ada").await;

    // It goes away between the question and the answer.
    let mut browser = Browser::new(&stage.application);
    let url = browser.begins("/sign-in").await;
    let callback = browser.at_issuer(&stage.issuer, &url).await;
    stage.issuer.stop().await;
    is_problem(&browser.get(&callback).await, 503, "sign-in-unavailable");
    assert_eq!(browser.session(), None);
    drop(browser);
    stage.issuer.start_again().await;
    signing_in_begins(&stage).await;
    let browser = stage.signed_in("ada").await;

    // It hangs: that is the same. Who is signed in stays so.
    let mut late = stage.browser();
    let url = late.begins("/sign-in").await;
    let callback = late.at_issuer(&stage.issuer, &url).await;
    stage.issuer.does_wrong(Some(Fault::Slow(Duration::from_secs(30))));
    is_problem(&late.get(&callback).await, 503, "sign-in-unavailable");
    assert_eq!(me(&stage, &browser).await.status, StatusCode::OK);
    assert_eq!(events(&stage, "true"), ["session.sign-in success", "session.sign-in success"]);
    // What describes another issuer is not this one.
    stage.issuer.does_wrong(Some(Fault::OtherDescription));
    is_problem(&stage.browser().get("/sign-in").await, 503, "sign-in-unavailable");
}

/// Waits until signing in begins again.
async fn signing_in_begins(stage: &Stage) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let answer = stage.browser().get("/sign-in").await;
        if answer.status == StatusCode::SEE_OTHER {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn without_the_durable_valkey_nobody_signs_in_and_nobody_is_guessed() {
    let mut stage = Stage::new().await;
    let cookies = stage.signed_in("ada").await.session().unwrap().to_owned();
    let mut browser = stage.browser();
    let url = browser.begins("/sign-in").await;
    let callback = browser.at_issuer(&stage.issuer, &url).await;
    let pending = browser.cookies();
    stage.servers.stop_one(Server::Durable);
    let mut browser = stage.browser();
    is_problem(&browser.get("/sign-in").await, 503, "unavailable");
    let (name, value) = pending.split_once('=').unwrap();
    browser.plant(name, value);
    is_problem(&browser.get(&callback).await, 503, "unavailable");
    browser.plant(COOKIE, &cookies);
    is_problem(&me(&stage, &browser).await, 503, "unavailable");
    assert_eq!(events(&stage, "true"), ["session.sign-in success"]);

    stage.servers.start_one(Server::Durable);
    stage.application.wait_for_missing(&[]).await;
    stage.signed_in("ada").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn nobody_plants_a_session_or_a_way_out() {
    let stage = Stage::new().await;
    // The attacker's own session, planted in somebody's browser: whoever signs in there gets another.
    let attacker = stage.signed_in("eve").await;
    let planted = attacker.session().unwrap().to_owned();
    stage.issuer.awaits(Some(Identity::of("ada")));
    let mut browser = stage.browser();
    browser.plant(COOKIE, &planted);
    browser.signs_in(&stage.issuer, "/sign-in").await;
    assert_ne!(browser.session().unwrap(), planted);
    assert_eq!(me(&stage, &browser).await.json()["name"], "ada");
    is_problem(&me(&stage, &attacker).await, 401, "unauthenticated");
    // One that the attacker made up.
    let mut browser = stage.browser();
    browser.plant(COOKIE, &"A".repeat(43));
    browser.signs_in(&stage.issuer, "/sign-in").await;
    assert_ne!(browser.session().unwrap(), "A".repeat(43));

    for elsewhere in
        ["https://evil.example", "//evil.example", "/%5Cevil.example", "/.//evil.example", "/%09/a"]
    {
        let mut browser = stage.browser();
        let answer = browser.signs_in(&stage.issuer, &format!("/sign-in?return_to={elsewhere}")).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"), "{elsewhere}");
    }
    is_problem(&stage.browser().get("/sign-in?next=/").await, 400, "query-invalid");
    // Knocking is limited by address.
    let mut impatient = stage.browser();
    let mut knocks = 0;
    while impatient.get("/sign-in").await.status == StatusCode::SEE_OTHER {
        knocks += 1;
        assert!(knocks <= 40, "nobody is limited");
    }
    is_problem(&impatient.get("/sign-in").await, 429, "rate-limited");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn who_signs_out_at_the_issuer_is_signed_out_here() {
    let stage = Stage::new().await;
    let (one, two) = (stage.signed_in("ada").await, stage.signed_in("ada").await);
    let bob = stage.signed_in("bob").await;
    let sids = stage.issuer.sessions_of("ada");
    let token = |members: &Value| stage.issuer.logout_token(members);
    let say = async |form: String| {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let path = "/sign-in/back-channel-logout";
        stage.application.send(Method::POST, path, &kind, &form).await
    };
    let is_in = async |browser| me(&stage, browser).await.status == StatusCode::OK;

    // What is not the issuer's word, or not about this, ends nothing.
    let good = stage.issuer.logout_token(&json!({"sid": sids[0], "sub": "ada"}));
    let (body, signature) = good.rsplit_once('.').unwrap();
    let other = token(&json!({"sid": "x"}));
    let other_signature = other.rsplit_once('.').unwrap().1;
    let events_of = |value: Value| json!({"sid": sids[0], "events": value});
    let forged = [
        format!("{body}."),
        format!("{body}.{other_signature}"),
        format!("eyJhbGciOiJub25lIn0.{}.", body.split_once('.').unwrap().1),
        format!("{body}.{signature}.{signature}"),
        "nonsense".to_owned(),
        stage.issuer.signed(&json!({"typ": "at+jwt"}), &json!({})),
        token(&json!({"sid": sids[0], "nonce": "n"})),
        token(&events_of(json!({}))),
        token(&events_of(json!(null))),
        token(&json!({"sid": sids[0], "aud": "another app"})),
        token(&json!({"sid": sids[0], "iss": "https://issuer.example"})),
        token(&json!({"sid": sids[0], "iat": 1_700_000_000})),
        token(&json!({"sid": sids[0], "jti": null})),
        token(&json!({})),
    ];
    for token in &forged {
        is_problem(&say(format!("logout_token={token}")).await, 400, "logout-token-invalid");
    }
    is_problem(&say(String::new()).await, 400, "logout-token-invalid");
    assert!(is_in(&one).await && is_in(&two).await && is_in(&bob).await);

    // One session by its name.
    let answer = say(format!("logout_token={good}")).await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (StatusCode::OK, "no-store"),
        "{}",
        answer.text
    );
    assert!(!is_in(&one).await && is_in(&two).await && is_in(&bob).await);
    is_problem(&say(format!("logout_token={good}")).await, 400, "logout-token-invalid");
    // All of a person, by the person's.
    let third = stage.signed_in("ada").await;
    let all = token(&json!({"sub": "ada"}));
    assert_eq!(say(format!("logout_token={all}")).await.status, StatusCode::OK);
    assert!(!is_in(&two).await && !is_in(&third).await && is_in(&bob).await);
    // Said again, it does not end what began since.
    let later = stage.signed_in("ada").await;
    is_problem(&say(format!("logout_token={all}")).await, 400, "logout-token-invalid");
    assert!(is_in(&later).await);

    let denied = |reason: &str| format!("session.back-channel-logout denied {reason}");
    let done = || "session.back-channel-logout success".to_owned();
    assert_eq!(
        events(&stage, "action = 'session.back-channel-logout'"),
        [
            denied("token-kind"),
            denied("token-kind"),
            denied("token-kind"),
            denied("token-audience"),
            denied("token-issuer"),
            denied("token-old"),
            denied("token-nameless"),
            denied("token-subject"),
            done(),
            denied("token-replayed"),
            done(),
            denied("token-replayed"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_logout_that_failed_in_the_middle_is_done_when_it_is_said_again() {
    let mut stage = Stage::new().await;
    let cookie = stage.signed_in("ada").await.session().unwrap().to_owned();
    let form = format!("logout_token={}", stage.issuer.logout_token(&json!({"sub": "ada"})));
    let say = async |stage: &Stage| {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let path = "/sign-in/back-channel-logout";
        stage.application.send(Method::POST, path, &kind, &form).await
    };
    stage.servers.stop_one(Server::Postgres);
    stage.application.wait_for_missing(&["database"]).await;
    is_problem(&say(&stage).await, 503, "unavailable");
    stage.servers.start_one(Server::Postgres);
    stage.application.wait_for_missing(&[]).await;
    let mut browser = stage.browser();
    browser.plant(COOKIE, &cookie);
    assert_eq!(me(&stage, &browser).await.status, StatusCode::OK, "nothing was ended");
    // The issuer tries again with the same token, which is not used up.
    let answer = say(&stage).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    is_problem(&me(&stage, &browser).await, 401, "unauthenticated");
    is_problem(&say(&stage).await, 400, "logout-token-invalid");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_site_without_an_issuer_says_so() {
    let stage = Stage::new().await;
    let application = Application::start(&stage.servers, environment(&stage.servers));
    application.wait_for_missing(&[]).await;
    let mut browser = Browser::new(&application);
    is_problem(&browser.get("/sign-in").await, 503, "sign-in-not-configured");
    is_problem(&browser.get("/sign-in/callback?state=a").await, 503, "sign-in-not-configured");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn who_is_no_member_any_more_can_do_nothing_at_once() {
    let stage = Stage::new().await;
    stage.signed_in("ada").await;
    let person = seed::person_of(&stage.servers, "ada");
    seed::member(&stage.servers, stage.organization, person, "member");
    let browser = stage.signed_in("ada").await;
    let page = stage.page_of(&browser);
    let made = page.post("/api/v1/projects", &json!({"name": "Garden"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    stage.servers.sql("UPDATE memberships SET role = 'viewer'", "app");
    assert_eq!(page.post("/api/v1/projects", &json!({"name": "Mine"})).await.status, 403);
    assert_eq!(page.get(made.header("location")).await.status, 200);
    stage.servers.sql("DELETE FROM memberships", "app");
    assert_eq!(page.get(made.header("location")).await.status, 403);
    assert_eq!(page.post("/api/v1/projects", &json!({"name": "Mine"})).await.status, 403);
    let who = page.get("/api/v1/me").await.json();
    assert_eq!((&who["organization"], &who["scopes"]), (&json!(null), &json!([])));
    // And signs in to nowhere.
    let browser = stage.signed_in("ada").await;
    assert_eq!(me(&stage, &browser).await.json()["organization"], json!(null));
}
