//! What works while something does not, and that it comes back by itself.

use axum::http::Method;
use foundation::testing::servers::Server;
use serde_json::json;

use crate::stage::Stage;
use crate::support::seed::{self, ALL_SCOPES};

const PROJECTS: &str = "/api/v1/projects";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn without_postgresql_the_answer_is_503_and_says_when_to_come_back() {
    let mut stage = Stage::new().await;
    let token = seed::token(&stage.servers, stage.organization, ALL_SCOPES);
    let person = seed::person(&stage.servers, stage.organization, "ada", "member");
    let cookie = seed::session(&stage.servers, person, Some(stage.organization)).await;
    let bearer = format!("Bearer {token}");
    let callers = [("authorization", bearer.as_str()), ("cookie", cookie.as_str())];
    for server in [Server::Postgres, Server::PgBouncer] {
        stage.servers.stop_one(server);
        stage.application.wait_for_missing(&["database"]).await;
        for caller in callers {
            for (method, path) in [
                (Method::GET, PROJECTS),
                (Method::POST, PROJECTS),
                (Method::GET, "/api/v1/audit-events"),
                (Method::GET, "/api/v1/audit-chain"),
                (Method::GET, "/api/v1/audit-exports?format=csv"),
            ] {
                let headers =
                    [caller, ("origin", "https://app.example.test"), ("content-type", "application/json")];
                let answer =
                    stage.application.send(method.clone(), path, &headers, "{\"name\": \"Garden\"}").await;
                assert_eq!(answer.status, 503, "{method} {path} {}: {}", caller.0, answer.text);
                assert_eq!(answer.json()["code"], "unavailable");
                assert_eq!(answer.header("content-type"), "application/problem+json");
                assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
            }
        }
        stage.servers.start_one(server);
        stage.application.wait_for_missing(&[]).await;
        let agent = stage.caller(token.clone());
        assert_eq!(agent.post(PROJECTS, &json!({"name": "Garden"})).await.status, 201);
    }
    assert_eq!(stage.count("projects"), "2", "what was refused was not written");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn without_the_durable_valkey_sessions_are_503_and_tokens_work() {
    let mut stage = Stage::new().await;
    let token = seed::token(&stage.servers, stage.organization, ALL_SCOPES);
    assert_eq!(stage.person("ada", "member").await.get(PROJECTS).await.status, 200);
    let person = seed::person(&stage.servers, stage.organization, "bob", "member");
    let cookie = seed::session(&stage.servers, person, Some(stage.organization)).await;
    stage.servers.stop_one(Server::Durable);
    stage.application.wait_for_missing(&["durable"]).await;
    let refused = stage.application.ask(Method::GET, PROJECTS, &[("cookie", &cookie)]).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["code"]),
        (503, &json!("unavailable")),
        "{}",
        refused.text
    );
    assert!(!refused.header("retry-after").is_empty());
    let agent = stage.caller(token.clone());
    // The jobs that a write leaves wait in the database.
    let made = agent.post(PROJECTS, &json!({"name": "Garden"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(agent.get(made.header("location")).await.status, 200);
    stage.servers.start_one(Server::Durable);
    stage.application.wait_for_missing(&[]).await;
    // The test's Valkey keeps nothing; whoever signs in again is in.
    assert_eq!(stage.person("eve", "member").await.get(PROJECTS).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn without_the_cache_limits_let_through() {
    let mut stage = Stage::new().await;
    let token = seed::token(&stage.servers, stage.organization, ALL_SCOPES);
    stage.servers.stop_one(Server::Cache);
    stage.application.wait_for_missing(&["cache"]).await;
    let agent = stage.caller(token.clone());
    let made = agent.post(PROJECTS, &json!({"name": "Garden"})).await;
    assert_eq!((made.status.as_u16(), made.header("ratelimit")), (201, ""), "{}", made.text);
    stage.servers.start_one(Server::Cache);
    stage.application.wait_for_missing(&[]).await;
    let (started, agent) = (std::time::Instant::now(), stage.caller(token));
    while agent.get(PROJECTS).await.header("ratelimit").is_empty() {
        assert!(started.elapsed().as_secs() < 10, "limits did not come back");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
