//! The contract between platform and application, kept by the real binary against real servers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use axum::http::Method;
use foundation::auth::session::COOKIE;
use foundation::testing::program::ask;
use foundation::testing::servers::{Server, Servers, wait_until};
use rustix::process::Signal;
use serde_json::json;
use support::application::{Answer, Application, environment, exchange, migrate, run};
use support::seed;

const PROJECTS: &str = "/api/v1/projects";

/// The headers of an agent that may do everything in an organization of its own.
fn agent(servers: &Servers) -> [(&'static str, String); 2] {
    let organization = seed::organization(servers, "first");
    let token = seed::token(servers, organization, seed::ALL_SCOPES);
    [("authorization", format!("Bearer {token}")), ("content-type", "application/json".to_owned())]
}

fn lent<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// A write: a transaction of several statements through PgBouncer.
async fn make_project(application: &Application, agent: &[(&'static str, String)]) -> Answer {
    let body = json!({"name": "Garden"}).to_string();
    application.send(Method::POST, PROJECTS, &lent(agent), &body).await
}

#[test]
fn an_empty_environment_is_refused_with_every_problem() {
    let output = run(&[], &BTreeMap::new());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for name in ["PORT:", "METRICS_PORT:", "DATABASE_URL:", "VALKEY_CACHE_PASSWORD_FILE:", "PRIVATE_CA_FILE:"]
    {
        assert!(text.contains(name), "{name} is not mentioned: {text}");
    }
}

#[test]
fn the_version_is_printed() {
    let output = run(&["--version"], &BTreeMap::new());
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("app {}", env!("CARGO_PKG_VERSION")));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_request_reaches_every_store() {
    let servers = Servers::start();
    assert!(migrate(&servers).status.success());
    let application = Application::start(&servers, environment(&servers));
    application.wait_for_missing(&[]).await;
    let agent = agent(&servers);

    let made = make_project(&application, &agent).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("{PROJECTS}/{id}"));
    assert_eq!(servers.sql(&format!("SELECT count(*) FROM projects WHERE id = '{id}'"), "app"), "1");
    assert!(made.header("ratelimit").contains(";r="), "the cache counts: {:?}", made.headers);
    // A session that nobody has begun: the durable instance was asked for it.
    let nobody = format!("{COOKIE}={}", "a".repeat(43));
    let refused = application.ask(Method::GET, PROJECTS, &[("cookie", &nobody)]).await;
    assert_eq!(refused.status, 401, "{}", refused.text);

    let shown = exchange(
        application.port,
        application.ca(),
        "http/1.1",
        Method::GET,
        made.header("location"),
        &lent(&agent),
        String::new(),
    )
    .await
    .unwrap();
    assert_eq!((shown.status.as_u16(), shown.json()), (200, made.json()));

    let page = application.get("/status").await;
    assert!(page.text.contains("Everything answers"), "{}", page.text);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let metrics = application.metrics().await;
    for store in ["database", "durable", "cache"] {
        let up = format!("app_ready_check_up{{check=\"{store}\"}} 1");
        assert!(metrics.contains(&up), "no {up} in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn errors_are_problems_and_requests_leave_traces() {
    let servers = Servers::start();
    assert!(migrate(&servers).status.success());
    let application = Application::start(&servers, environment(&servers));

    let agent = agent(&servers);
    let mut headers = lent(&agent);
    headers.push(("x-request-id", "edge-1"));

    for (method, path, status) in [
        (Method::GET, "/nowhere", 404),
        (Method::GET, "/api/v1/projects/00000000-0000-0000-0000-000000000000", 404),
        (Method::GET, "/api/v1/projects/not-an-id", 404),
        (Method::DELETE, PROJECTS, 405),
    ] {
        let answer = application.ask(method, path, &headers).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.header("x-request-id"), "edge-1");
        assert_eq!(answer.json()["status"], status);
        assert_eq!(answer.header("allow").is_empty(), status != 405);
    }
    let log = application.log();
    let line = log.iter().find(|line| line["route"] == "unmatched").expect("a log line of the request");
    assert_eq!((line["status"].as_i64(), line["request_id"].as_str()), (Some(404), Some("edge-1")));
    assert!(
        line["timestamp"].is_string() && line["duration_ms"].is_number() && line["level"] == "info",
        "{line}"
    );

    let forged = application.ask(Method::GET, "/nowhere", &[("x-request-id", "a b\"c")]).await;
    assert_ne!(forged.header("x-request-id"), "a b\"c");

    let metrics = application.metrics().await;
    let counted = r#"app_http_requests_total{method="GET",route="/api/v1/projects/{id}",status="404"} 2"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert!(!metrics.contains("not-an-id"), "a path became a label: {metrics}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn readiness_follows_every_store_and_recovers_without_a_restart() {
    let mut servers = Servers::start();
    let application = Application::start(&servers, environment(&servers));
    application.wait_for_missing(&["database"]).await;
    assert_eq!(application.health().status.code(), Some(1), "a database without its schema is not ready");
    assert!(migrate(&servers).status.success());
    application.wait_for_missing(&[]).await;
    assert_eq!(application.health().status.code(), Some(0));
    let agent = agent(&servers);

    // What a write needs is PostgreSQL: limits let through what they cannot count, and the job of a write waits.
    for (server, name, status) in [
        (Server::Cache, "cache", 201),
        (Server::Durable, "durable", 201),
        (Server::PgBouncer, "database", 503),
        (Server::Postgres, "database", 503),
    ] {
        servers.stop_one(server);
        application.wait_for_missing(&[name]).await;
        assert_eq!(application.health().status.code(), Some(1), "{name}");
        let answer = make_project(&application, &agent).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
        assert!(!answer.text.contains("127.0.0.1"), "the inside shows: {}", answer.text);
        assert_eq!(application.get("/livez").await.status, 200, "{name}");

        servers.start_one(server);
        application.wait_for_missing(&[]).await;
        assert_eq!(make_project(&application, &agent).await.status, 201, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_store_that_hangs_is_given_up_in_time_and_taken_back() {
    let servers = Servers::start();
    assert!(migrate(&servers).status.success());
    let application = Application::start(&servers, environment(&servers));
    application.wait_for_missing(&[]).await;
    let agent = agent(&servers);

    for (server, name, status) in [(Server::Cache, "cache", 201), (Server::PgBouncer, "database", 503)] {
        servers.freeze(server, true);
        // What readiness said a moment ago is repeated for a second.
        application.wait_for_missing(&[name]).await;
        let started = std::time::Instant::now();
        let ready = application.get("/readyz").await;
        assert_eq!(ready.status, 503, "{name}: {}", ready.text);
        let answer = make_project(&application, &agent).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
        assert!(started.elapsed() < Duration::from_secs(8), "{name}: {:?}", started.elapsed());
        servers.freeze(server, false);
        application.wait_for_missing(&[]).await;
        assert_eq!(make_project(&application, &agent).await.status, 201, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn it_starts_without_its_stores_and_finds_them_later() {
    let mut servers = Servers::start();
    assert!(migrate(&servers).status.success());
    for server in [Server::Postgres, Server::PgBouncer, Server::Durable, Server::Cache] {
        servers.stop_one(server);
    }
    let application = Application::start(&servers, environment(&servers));
    application.wait_for_missing(&["database", "durable", "cache"]).await;
    for server in [Server::Postgres, Server::PgBouncer, Server::Durable, Server::Cache] {
        servers.start_one(server);
    }
    application.wait_for_missing(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn servers_of_an_unknown_authority_are_not_spoken_to() {
    let servers = Servers::start();
    assert!(migrate(&servers).status.success());
    let mut deceived = environment(&servers);
    deceived.insert("PRIVATE_CA_FILE", servers.path("other-ca.pem").display().to_string());
    let refused = run(&["migrate"], &deceived);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && text.contains("UnknownIssuer"), "{text}");
    let application = Application::start(&servers, deceived);
    application.wait_for_missing(&["database", "durable", "cache"]).await;
    // And it shows its own certificate to the edge, which verifies it as well.
    let outcome =
        ask(application.port, &servers.path("other-ca.pem"), "h2", Method::GET, "/livez", &[]).await;
    assert!(outcome.err().is_some_and(|error| error.to_string().contains("UnknownIssuer")));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn more_clients_than_server_connections_get_their_own_rows() {
    let servers = Servers::start();
    assert!(migrate(&servers).status.success());
    let application = std::sync::Arc::new(Application::start(&servers, environment(&servers)));
    application.wait_for_missing(&[]).await;

    let agent = agent(&servers);

    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (application, agent) = (std::sync::Arc::clone(&application), agent.clone());
        clients.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..10 {
                let made = make_project(&application, &agent).await;
                let shown = application.ask(Method::GET, made.header("location"), &lent(&agent)).await;
                assert_eq!(made.json(), shown.json());
                ids.push(made.json()["id"].to_string());
            }
            ids
        });
    }
    let ids: HashSet<String> = clients.join_all().await.into_iter().flatten().collect();
    assert_eq!(ids.len(), 320);
    assert_eq!(servers.sql("SELECT count(*) FROM projects", "app"), "320");
    let connections = servers.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND backend_type = 'client backend'",
        "app",
    );
    assert!(connections.parse::<u32>().unwrap() <= 2, "{connections} server connections");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn sigterm_finishes_what_is_in_flight() {
    let servers = Servers::start();
    assert!(migrate(&servers).status.success());
    // Without workers: a purge that waits for the table as well would take the connections.
    let mut variables = environment(&servers);
    variables.insert("WORKERS", "none".to_owned());
    let mut application = Application::start(&servers, variables);
    application.wait_for_missing(&[]).await;
    let agent = agent(&servers);
    // A first one, so that the one in flight only waits for the table and not for connections.
    assert_eq!(make_project(&application, &agent).await.status, 201);

    let lock = servers.lock("projects");
    let (port, ca) = (application.port, servers.path("ca.pem"));
    let body = json!({"name": "In flight"}).to_string();
    let in_flight = tokio::spawn(async move {
        exchange(port, &ca, "http/1.1", Method::POST, PROJECTS, &lent(&agent), body).await
    });
    wait_until("the request to wait for the table", || {
        servers.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", "postgres") == "1"
    });
    application.signal(Signal::TERM);
    wait_until("the application to stop accepting", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_err()
    });
    lock.release();

    let answer = tokio::time::timeout(Duration::from_secs(10), in_flight).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(application.exit_code(), Some(0));
}

#[test]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
fn migrations_run_once_and_the_serving_role_cannot_change_the_schema() {
    let servers = Servers::start();
    let outputs = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| migrate(&servers))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>()
    });
    let texts: Vec<String> =
        outputs.iter().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).collect();
    assert!(outputs.iter().all(|output| output.status.success()), "{outputs:?}");
    assert_eq!(texts.iter().filter(|text| text.contains("applied 0001_people")).count(), 1, "{texts:?}");

    let allowed = |privilege: &str, table: &str| {
        servers.sql(&format!("SELECT has_table_privilege('app', '{table}', '{privilege}')"), "app") == "t"
    };
    assert!(allowed("INSERT", "projects") && allowed("SELECT", "schema_migrations"));
    assert!(!allowed("INSERT", "schema_migrations") && !allowed("TRUNCATE", "projects"));
    assert!(!allowed("UPDATE", "audit_events") && !allowed("DELETE", "audit_events"));
    assert_eq!(servers.sql("SELECT has_schema_privilege('app', 'public', 'CREATE')", "app"), "f");
}
