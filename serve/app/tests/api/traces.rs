//! One request, wherever it leaves a trace: the log, metrics, PostgreSQL, the audit log, jobs, the error tracker. And no
//! secret in any of them.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::Method;
use foundation::environment::ServerCertificate;
use foundation::testing::issuer::Identity;
use foundation::testing::servers::{Server, free_ports, wait_until};
use foundation::{server, tls};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::stage::{Caller, Stage};
use crate::support::application::Application;
use crate::support::seed::{self, ALL_SCOPES};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const PROJECTS: &str = "/api/v1/projects";

/// The log line of this request.
fn line(application: &Application, request_id: &str) -> Value {
    let mut found = None;
    wait_until("the request's log line", || {
        let lines = application.log();
        found =
            lines.into_iter().find(|line| line["message"] == "request" && line["request_id"] == request_id);
        found.is_some()
    });
    found.unwrap()
}

async fn write(caller: &Caller<'_>, request_id: &str, key: &str) -> u16 {
    let headers = [("x-request-id", request_id), ("traceparent", TRACE), ("idempotency-key", key)];
    let made = caller.send(Method::POST, PROJECTS, &headers, Some(&json!({"name": "Garden"}))).await;
    made.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_write_is_named_the_same_in_log_metrics_audit_and_jobs() {
    let stage = Stage::new().await;
    let agent = stage.agent(ALL_SCOPES);
    // Names that do not resolve: what is to be delivered waits for its next attempt.
    let hook = json!({"url": "https://hook.invalid/", "description": "", "events": ["project.created"]});
    let hook = agent.post("/api/v1/webhooks", &hook).await;
    assert_eq!(hook.status, 201, "{}", hook.text);
    assert_eq!(write(&agent, "write-1", "k1").await, 201);

    let said = line(&stage.application, "write-1");
    let event = agent.get("/api/v1/audit-events?request_id=write-1").await.json()["items"][0].clone();
    assert_eq!(said["trace_id"], TRACE[3..35]);
    assert_eq!(said["organization_id"], stage.organization.to_string());
    assert_eq!((&said["user_id"], &said["token_id"]), (&event["actor_id"], &event["token_id"]));
    assert_eq!((&said["action"], &said["action"]), (&json!("project.create"), &event["action"]));
    assert_eq!(
        (&said["result"], &said["route"], &said["status"]),
        (&json!("ok"), &json!(PROJECTS), &json!(201))
    );
    assert!(said["duration_ms"].as_f64().unwrap() > 0.0 && said["user_id"].is_string(), "{said}");

    assert_eq!(write(&agent, "write-2", "k1").await, 201);
    assert_eq!(line(&stage.application, "write-2")["result"], "replayed");
    // A refusal that is kept for its key is counted and logged as what it is, now and again.
    let nowhere = json!({"project_id": seed::id(), "title": "Water"});
    for id in ["refused-1", "refused-2"] {
        let headers = [("x-request-id", id), ("idempotency-key", "k2")];
        let refused = agent.send(Method::POST, "/api/v1/tasks", &headers, Some(&nowhere)).await;
        assert_eq!(refused.status, 404, "{}", refused.text);
        assert_eq!(line(&stage.application, id)["problem"], "not-found");
    }
    let metrics = stage.application.metrics().await;
    let counted = r#"app_http_problems_total{code="not-found",route="/api/v1/tasks"} 2"#;
    assert!(metrics.contains(counted), "{metrics}");
    let exemplar = |id: &str| format!("# {{request_id=\"{id}\"}}");
    let duration = |line: &&str| {
        line.starts_with("app_http_request_duration_seconds_bucket{") && line.contains(PROJECTS)
    };
    let of_write: Vec<&str> = metrics.lines().filter(duration).collect();
    assert!(
        of_write
            .iter()
            .any(|line| line.contains(&exemplar("write-1")) || line.contains(&exemplar("write-2"))),
        "{of_write:#?}"
    );

    let jobs = "SELECT string_agg(kind || ' ' || request_id || ' ' || left(traceparent, 35), ',' ORDER BY kind) FROM jobs \
                WHERE kind LIKE 'webhook.%'";
    let (id, trace) = ("write-1", &TRACE[..35]);
    let expected = format!("webhook.deliver {id} {trace},webhook.dispatch {id} {trace}");
    wait_until("the delivery's job", || stage.servers.sql(jobs, "app") == expected);
    // What a job does is logged under the request's name too.
    wait_until("the delivery's attempt", || {
        let attempted = |line: &Value| line["kind"] == "webhook.deliver" && line["request_id"] == "write-1";
        stage.application.log().iter().any(attempted)
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn postgresql_shows_and_logs_the_request() {
    let stage = Stage::new().await;
    let agent = stage.agent(ALL_SCOPES);
    for setting in ["log_min_duration_statement = 100", "log_line_prefix = '%a|'"] {
        stage.servers.sql(&format!("ALTER SYSTEM SET {setting}"), "app");
    }
    stage.servers.sql("SELECT pg_reload_conf()", "app");
    wait_until("the setting", || stage.servers.sql("SHOW log_min_duration_statement", "app") == "100ms");

    // What waits then is the statement and not its preparation, which each connection does once.
    for _ in 0..20 {
        assert_eq!(agent.get(PROJECTS).await.status, 200);
    }
    let lock = stage.servers.lock("projects");
    let headers = [("x-request-id", "slow-1")];
    let ask = agent.send(Method::GET, PROJECTS, &headers, None);
    let shown = async {
        let waiting = "SELECT application_name FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'app'";
        let started = Instant::now();
        while stage.servers.sql(waiting, "app") != "app slow-1" {
            assert!(started.elapsed() < Duration::from_secs(2), "nobody waits in the name of the request");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Longer than what counts as slow; the request itself has two seconds.
        tokio::time::sleep(Duration::from_millis(300)).await;
        lock.release();
    };
    let (answer, ()) = tokio::join!(ask, shown);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let log = stage.servers.path("servers.log");
    wait_until("the slow statement's line", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().any(|line| {
            line.starts_with("app slow-1|") && line.contains("duration:") && line.contains("projects")
        })
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn no_secret_is_in_any_log_line() {
    let mut stage = Stage::new().await;
    let mut secrets = Vec::new();
    let token = seed::token(&stage.servers, stage.organization, ALL_SCOPES);
    let agent = stage.caller(token.clone());
    secrets.push(token.clone());
    // Everything that is a secret comes to be, is shown and used, and is sent where it does not belong.
    let bot = agent.post("/api/v1/agents", &json!({"name": "bot"})).await.header("location").to_owned();
    let minted =
        agent.post(&format!("{bot}/tokens"), &json!({"name": "t", "scopes": ["tasks:read"]})).await.json();
    secrets.push(minted["secret"].as_str().unwrap().to_owned());
    let hook = json!({"url": "https://hook.invalid/?key=hook-s3cr3t", "description": "", "events": ["project.created"]});
    let hook = agent.post("/api/v1/webhooks", &hook).await.json();
    secrets.push(hook["secret"].as_str().unwrap().to_owned());
    secrets.push("hook-s3cr3t".to_owned());
    let invitations = format!("/api/v1/organizations/{}/invitations", stage.organization);
    let invited = agent.post(&invitations, &json!({"email": "bob@example.test", "role": "viewer"})).await;
    assert_eq!(invited.status, 201, "{}", invited.text);
    let link = invited.json()["link"].as_str().unwrap().to_owned();
    let path = link.strip_prefix(crate::support::application::PUBLIC_URL).unwrap().to_owned();
    let mut browser = stage.signed_in("bob").await;
    browser.get(&path).await;
    secrets.push(path.rsplit(['/', '=']).next().unwrap().to_owned());
    secrets.push(browser.session().unwrap().to_owned());
    stage.issuer.awaits(Some(Identity::of("eve")));
    let url = browser.begins("/sign-in").await;
    let callback = browser.at_issuer(&stage.issuer, &url).await;
    for (name, value) in url.query_pairs() {
        if ["state", "nonce", "code_challenge"].contains(&name.as_ref()) {
            secrets.push(value.into_owned());
        }
    }
    secrets.push(callback.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned());
    browser.get(&callback).await;
    secrets.push(browser.session().unwrap().to_owned());
    let form = format!("csrf_token=csrf-s3cr3t&password=s3cr3t-too&name={token}");
    browser.post_bare(PROJECTS, &form).await;
    secrets.extend(["csrf-s3cr3t".to_owned(), "s3cr3t-too".to_owned()]);
    for odd in [format!("{PROJECTS}?token={token}"), format!("/{token}"), format!("/api/v1/tasks/{token}")] {
        agent.send(Method::GET, &odd, &[("user-agent", &token), ("x-request-id", &token)], None).await;
    }
    agent.post(PROJECTS, &json!({"name": token, "password": "s3cr3t-too"})).await;
    write(&agent, "last", "key-1").await;
    stage.servers.stop_one(Server::Postgres);
    assert_eq!(stage.caller(token.clone()).get(PROJECTS).await.status, 503);
    stage.servers.start_one(Server::Postgres);
    stage.application.wait_for_missing(&[]).await;

    let log = stage.application.log();
    assert!(log.len() > 20, "a log of {} lines shows nothing", log.len());
    for secret in &secrets {
        assert!(secret.len() >= 10, "{secret} is too short to be looked for");
        for line in &log {
            assert!(!line.to_string().contains(secret.as_str()), "{secret} is in {line:#}");
        }
    }
}

/// A tracker on the loopback, with the certificate of the servers; what it is sent.
async fn tracker(stage: &Stage) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let files = ServerCertificate {
        certificate: stage.servers.path("server.pem"),
        key: stage.servers.path("server.key"),
    };
    let (sender, reports) = tokio::sync::mpsc::unbounded_channel();
    let [port] = free_ports();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let router = Router::new().fallback(async move |request: Request| {
        let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
        sender.send(String::from_utf8(body.to_vec()).unwrap()).unwrap();
        "{}"
    });
    tokio::spawn(server::serve(listener, Some(tls::server(&files).unwrap()), router, std::future::pending()));
    (port, reports)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_error_is_reported_with_its_request() {
    let mut stage = Stage::new().await;
    let (port, mut reports) = tracker(&stage).await;
    let dsn = format!("https://publickey@localhost:{port}/7");
    let authority = stage.servers.path("ca.pem").display().to_string();
    let release = "2026.11-test";
    let application =
        stage.another(&[("SENTRY_DSN", &dsn), ("EXTRA_CA_FILE", &authority), ("RELEASE", release)]).await;
    let token = seed::token(&stage.servers, stage.organization, ALL_SCOPES);
    let agent = Caller::of(&application, &token);
    assert_eq!(agent.get(PROJECTS).await.status, 200);
    stage.servers.stop_one(Server::Postgres);
    let headers = [("x-request-id", "broken-1"), ("traceparent", TRACE)];
    let path = format!("{PROJECTS}/{}?link=s3cr3t", seed::id());
    let answer = agent.send(Method::GET, &path, &headers, None).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let report = loop {
        let text = tokio::time::timeout_at(deadline, reports.recv()).await.expect("a report").unwrap();
        assert!(!text.contains(&token) && !text.contains("s3cr3t"), "{text}");
        let event: Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
        if event["tags"]["request_id"] == "broken-1" {
            break event;
        }
    };
    let (tags, route) = (&report["tags"], json!("/api/v1/projects/{id}"));
    assert_eq!((&tags["route"], &tags["trace_id"]), (&route, &json!(&TRACE[3..35])), "{report:#}");
    assert_eq!((&report["release"], &report["environment"]), (&json!(release), &json!("app.example.test")));
    stage.servers.start_one(Server::Postgres);
}
