//! What is refused, and tokens in new places: in the log of whose it is, and never a flood of it.

use axum::http::Method;
use foundation::testing::servers::Server;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::stage::{Caller, Stage};
use crate::support::application::{Application, PUBLIC_URL, environment};
use crate::support::seed::{self, ALL_SCOPES};

const PROJECTS: &str = "/api/v1/projects";

/// Asks for events until there are as many, the newest first.
async fn events(admin: &Caller<'_>, filter: &str, count: usize) -> Vec<Value> {
    let started = std::time::Instant::now();
    loop {
        let found = admin.get(&format!("/api/v1/audit-events?{filter}")).await;
        let items = found.json()["items"].as_array().cloned().unwrap_or_default();
        assert!(items.len() <= count, "more than {count}: {items:#?}");
        if items.len() == count {
            return items;
        }
        assert!(started.elapsed().as_secs() < 20, "not {count}: {}", found.text);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A token, by its only one: whom it belongs to.
fn token_id(stage: &Stage, hint_of: &str) -> String {
    let hint = &hint_of[hint_of.len() - 4..];
    stage.servers.sql(&format!("SELECT id FROM tokens WHERE hint = '{hint}'"), "app")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_is_refused_is_in_the_log_of_the_organization() {
    let stage = Stage::new().await;
    let admin = stage.person("ada", "admin").await;
    let sql = |statement: String| stage.servers.sql(&statement, "app");
    let tokens: Vec<String> =
        (0..4).map(|_| seed::token(&stage.servers, stage.organization, &["projects:read"])).collect();
    let ids: Vec<String> = tokens.iter().map(|token| token_id(&stage, token)).collect();
    sql(format!("UPDATE tokens SET revoked_at = now() WHERE id = '{}'", ids[1]));
    sql(format!("UPDATE tokens SET expires_at = now() WHERE id = '{}'", ids[2]));
    sql(format!("UPDATE tokens SET addresses = '{{192.0.2.0/24}}' WHERE id = '{}'", ids[3]));
    let caller = |number: usize| stage.caller(tokens[number].clone()).saying("user-agent", "bot/1");

    let headers = [("x-request-id", "refused-1")];
    let refused = caller(0).send(Method::GET, "/api/v1/audit-events", &headers, None).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["scope"]), (403, &json!("audit:read")));
    assert_eq!(caller(1).get(PROJECTS).await.status, 401);
    assert_eq!(caller(2).get(&format!("{PROJECTS}/{}", seed::id())).await.status, 401);
    assert_eq!(caller(3).get(PROJECTS).await.status, 403);
    let unknown = tokens[0].replace(|letter: char| letter.is_ascii_digit(), "x");
    assert_eq!(stage.caller(unknown).get(PROJECTS).await.status, 401);
    // A person whose role allows less, and one whose browser is led here by another site.
    let viewer = stage.person("vic", "viewer").await;
    assert_eq!(viewer.post(PROJECTS, &json!({"name": "Mine"})).await.status, 403);
    let person = seed::person(&stage.servers, stage.organization, "eve", "owner");
    let cookie = seed::session(&stage.servers, person, Some(stage.organization)).await;
    let led = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
    assert_eq!(stage.application.ask(Method::POST, PROJECTS, &led).await.status, 403);
    let form = [("cookie", cookie.as_str()), ("origin", PUBLIC_URL), ("content-type", "text/plain")];
    assert_eq!(stage.application.ask(Method::POST, PROJECTS, &form).await.status, 403);
    // Nobody's session, and nobody's organization.
    let nobody = [("cookie", "__Host-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), led[1]];
    assert_eq!(stage.application.ask(Method::POST, PROJECTS, &nobody).await.status, 403);
    let other = stage.stranger();
    assert_eq!(other.get("/api/v1/audit-events?result=denied").await.json()["items"], json!([]));

    let all = events(&admin, "action=request.deny", 6).await;
    let of = |token: &str| all.iter().find(|event| event["token_id"] == token).unwrap();
    let scope = of(&ids[0]);
    assert_eq!((&scope["actor_kind"], &scope["result"]), (&json!("agent"), &json!("denied")));
    assert_eq!((&scope["request_id"], &scope["user_agent"]), (&json!("refused-1"), &json!("bot/1")));
    assert_eq!(scope["address"], "127.0.0.1");
    assert_eq!(
        (&scope["resource_kind"], &scope["resource_id"]),
        (&json!("operation"), &json!("GET /api/v1/audit-events"))
    );
    assert_eq!(
        scope["changes"],
        json!({"problem": [null, "insufficient-scope"], "scope": [null, "audit:read"]})
    );
    assert_eq!(of(&ids[1])["changes"]["detail"], json!([null, "The token was revoked."]));
    assert_eq!(of(&ids[2])["changes"]["detail"], json!([null, "The token has expired."]));
    assert_eq!(of(&ids[2])["resource_id"], "GET /api/v1/projects/{id}");
    assert_eq!(of(&ids[3])["changes"]["problem"], json!([null, "address-not-allowed"]));
    let people: Vec<&Value> = all.iter().filter(|event| event["actor_kind"] == "person").collect();
    let kinds = |event: &&Value| event["changes"]["problem"][1].as_str().unwrap().to_owned();
    let mut found: Vec<String> = people.iter().map(kinds).collect();
    found.sort();
    assert_eq!(found, ["cross-site", "insufficient-scope"], "{people:#?}");
    let led = people.iter().find(|event| kinds(event) == "cross-site").unwrap();
    assert_eq!(led["actor_id"], person.to_string());
    // Nobody else's log has anything of it.
    assert_eq!(stage.count(&format!("audit_events WHERE organization_id <> '{}'", stage.organization)), "0");
    let line = |id: &str| stage.application.log().into_iter().find(|line| line["token_id"] == id).unwrap();
    assert_eq!(
        (&line(&ids[1])["result"], &line(&ids[1])["organization_id"]),
        (&json!("denied"), &json!(stage.organization))
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn refusals_cannot_flood_the_log_and_the_last_ones_are_written_at_the_end() {
    let stage = Stage::new().await;
    let admin = stage.person("ada", "admin").await;
    let mut application = Application::start(&stage.servers, environment(&stage.servers));
    application.wait_for_missing(&[]).await;
    let token = seed::token(&stage.servers, stage.organization, &["projects:read"]);
    let agent = Caller::of(&application, &token);
    for _ in 0..100 {
        assert_eq!(agent.post(PROJECTS, &json!({"name": "Mine"})).await.status, 403);
    }
    let first = events(&admin, "result=denied", 1).await;
    assert_eq!(first[0]["changes"].get("repeated"), None, "{first:#?}");
    application.signal(Signal::TERM);
    assert_eq!(application.exit_code(), Some(0));
    let last = events(&admin, "result=denied", 2).await;
    assert_eq!(last[0]["changes"]["repeated"], json!([null, 99]), "{last:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_cannot_be_written_is_written_when_it_can() {
    let mut stage = Stage::new().await;
    let cookie = {
        let person = seed::person(&stage.servers, stage.organization, "eve", "owner");
        seed::session(&stage.servers, person, Some(stage.organization)).await
    };
    stage.servers.stop_one(Server::Postgres);
    let led = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
    for _ in 0..3 {
        let refused = stage.application.ask(Method::POST, PROJECTS, &led).await;
        assert_eq!(refused.status, 403, "{}", refused.text);
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    }
    stage.servers.start_one(Server::Postgres);
    stage.application.wait_for_missing(&[]).await;
    let admin = stage.person("ada", "admin").await;
    let found = events(&admin, "result=denied", 1).await;
    assert_eq!(found[0]["changes"]["problem"], json!([null, "cross-site"]));
    let metrics = stage.application.metrics().await;
    assert!(metrics.contains("app_audit_notices_dropped_total 0"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_token_in_a_new_place_is_told_once() {
    let stage = Stage::new().await;
    let admin = stage.person("ada", "admin").await;
    let token = seed::token(&stage.servers, stage.organization, ALL_SCOPES);
    let id = token_id(&stage, &token);
    stage.servers.sql("DELETE FROM token_places", "app");
    let from = async |address: &str| {
        let headers = [("x-forwarded-for", address)];
        let answer = stage.caller(token.clone()).send(Method::GET, PROJECTS, &headers, None).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    let used = format!("action=token.use&token_id={id}");
    from("203.0.113.7").await;
    let first = events(&admin, &used, 1).await;
    assert_eq!(first[0]["changes"], json!({"first": [null, true], "place": [null, "203.0.113.7/32"]}));
    assert_eq!((&first[0]["resource_id"], &first[0]["address"]), (&json!(id), &json!("203.0.113.7")));
    for address in ["203.0.113.7", "2001:db8::1", "203.0.113.7", "2001:db8::2", "203.0.113.8"] {
        from(address).await;
    }
    let places: Vec<Value> =
        events(&admin, &used, 3).await.iter().map(|event| event["changes"]["place"][1].clone()).collect();
    assert!(
        places.contains(&json!("2001:db8::/64")) && places.contains(&json!("203.0.113.8/32")),
        "{places:?}"
    );
    // Another process knows these places by the database.
    let another = stage.another(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    for address in ["203.0.113.7", "203.0.113.9"] {
        let agent = Caller::of(&another, &token).saying("x-forwarded-for", address);
        assert_eq!(agent.get(PROJECTS).await.status, 200);
    }
    assert_eq!(events(&admin, &used, 4).await[0]["changes"], json!({"place": [null, "203.0.113.9/32"]}));

    // From everywhere: the last place that is told says that no more are.
    stage.servers.sql(
        &format!(
            "INSERT INTO token_places SELECT '{}', '{id}', 'place ' || n, now() FROM generate_series(1, 95) AS n",
            stage.organization
        ),
        "app",
    );
    for number in 1..4 {
        from(&format!("198.51.100.{number}")).await;
    }
    let last = events(&admin, &used, 5).await;
    assert_eq!(last[0]["changes"]["further_places"], json!([null, "not told"]), "{last:#?}");
}
