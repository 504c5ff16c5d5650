//! Jobs of the real binary: what was committed happens, whatever dies; what was given up is listed, and runs again or is removed.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::{Duration, Instant};

use axum::http::Method;
use foundation::testing::servers::{Server, Servers, wait_until};
use foundation::valkey::Valkey;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::stage::{Caller, Stage};
use crate::support::application::{Application, environment, run};
use crate::support::receiver::Receiver;
use crate::support::seed::{self, ALL_SCOPES};

const UNFINISHED: &str = "SELECT count(*) FROM jobs WHERE finished_at IS NULL AND unique_key IS NULL";

/// A stage whose application runs no jobs, and a receiver that an endpoint of its organization names.
async fn stage() -> (Stage, Receiver) {
    let variables = [("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.1/32".to_owned()), ("WORKERS", "none".to_owned())];
    let stage = Stage::on(Servers::start(), &variables).await;
    let receiver = Receiver::start(&stage.servers).await;
    let owner = stage.agent(ALL_SCOPES);
    let webhook = json!({"url": receiver.url("/"), "events": ["project.created"]});
    assert_eq!(owner.post("/api/v1/webhooks", &webhook).await.status, 201);
    (stage, receiver)
}

/// A process that runs jobs and nothing else.
fn work(stage: &Stage) -> Application {
    let mut variables = environment(&stage.servers);
    variables.extend(stage.issuer.environment(&stage.servers));
    variables.insert("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.1/32".to_owned());
    Application::start_as("work", &stage.servers, variables)
}

/// Writes that leave a job each; their names.
async fn write(caller: &Caller<'_>, start: usize, count: usize) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for number in start..start + count {
        let name = format!("project {number}");
        let made = caller.post("/api/v1/projects", &json!({"name": name})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        names.insert(name);
    }
    names
}

fn told(receiver: &Receiver) -> BTreeSet<String> {
    let name = |event: Value| event["data"]["name"].as_str().unwrap().to_owned();
    receiver.all().iter().map(|sent| name(sent.json())).collect()
}

/// Longer than a lease, and than the wait for what a lost queue held.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < Duration::from_secs(90), "waited 90 s in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn command(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = run(arguments, &environment(&stage.servers));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_was_committed_happens_whatever_dies() {
    let (mut stage, receiver) = stage().await;
    let token = seed::token(&stage.servers, stage.organization, ALL_SCOPES);
    let mut expected = write(&Caller::of(&stage.application, &token), 0, 20).await;
    assert_eq!(receiver.all().len(), 0, "nobody runs jobs");

    // The worker is killed in the middle of them.
    let mut killed = work(&stage);
    until("some to be told", async || receiver.all().len() >= 3).await;
    killed.signal(Signal::KILL);
    assert_eq!(killed.exit_code(), None, "by the signal");
    let worker = work(&stage);
    until("all to be told after a worker died", async || told(&receiver) == expected).await;

    // The queue is lost, with jobs in it, and its Valkey dies. A worker that is stopped at work keeps what it has of the
    // few connections to PostgreSQL.
    until("every job to be finished", async || stage.servers.sql(UNFINISHED, "app") == "0").await;
    worker.signal(Signal::STOP);
    expected.extend(write(&Caller::of(&stage.application, &token), 20, 20).await);
    worker.signal(Signal::CONT);
    until("some to be told", async || told(&receiver).len() >= 22).await;
    let admin = Valkey::new(
        "durable",
        &stage.servers.valkey_as("admin", Server::Durable),
        &stage.servers.private_ca(),
    )
    .unwrap();
    let () = admin.ask(&redis::cmd("FLUSHALL")).await.unwrap();
    stage.servers.stop_one(Server::Durable);
    stage.servers.start_one(Server::Durable);
    until("all to be told after the queue was lost", async || told(&receiver) == expected).await;

    // PostgreSQL restarts under it.
    expected.extend(write(&Caller::of(&stage.application, &token), 40, 20).await);
    stage.servers.stop_one(Server::Postgres);
    stage.servers.start_one(Server::Postgres);
    until("all to be told after PostgreSQL restarted", async || told(&receiver) == expected).await;

    // The process that serves and works at once is killed in the middle as well.
    drop(worker);
    let mut both = stage.another(&[("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.1/32")]).await;
    expected.extend(write(&Caller::of(&both, &token), 60, 20).await);
    both.signal(Signal::KILL);
    both.exit_code();
    let mut last = work(&stage);
    until("all to be told after a server died", async || told(&receiver) == expected).await;
    until("every job to be finished", async || stage.servers.sql(UNFINISHED, "app") == "0").await;
    assert_eq!(stage.count("jobs WHERE dead_at IS NOT NULL"), "0");
    let more_than_once = receiver.all().len() - expected.len();
    assert!(more_than_once < 40, "{more_than_once} were told twice");
    last.signal(Signal::TERM);
    assert_eq!(last.exit_code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_worker_says_how_it_is_and_serves_nobody_else() {
    let (stage, receiver) = stage().await;
    let worker = work(&stage);
    worker.wait_for_missing(&[]).await;
    assert_eq!(worker.get("/livez").await.status, 200);
    let token = format!("Bearer {}", seed::token(&stage.servers, stage.organization, ALL_SCOPES));
    for path in ["/", "/docs", "/api/v1/tasks"] {
        let refused = worker.ask(Method::GET, path, &[("authorization", &token)]).await;
        assert_eq!(
            (refused.status.as_u16(), refused.header("content-type")),
            (404, "application/problem+json")
        );
    }
    let owner = stage.agent(ALL_SCOPES);
    write(&owner, 0, 1).await;
    receiver.wait_for(1).await;
    let ran = "app_jobs_runs_total{kind=\"webhook.dispatch\"} 1";
    until("the worker to have counted it", async || worker.metrics().await.contains(ran)).await;
    let metrics = stage.application.metrics().await;
    assert!(!metrics.contains("app_jobs_runs_total{"), "the process that serves runs none: {metrics}");
    for gauge in [
        "app_database_connections ",
        "app_database_connections_idle ",
        "app_database_waiting ",
        "app_rate_limit_let_through_total ",
        "app_valkey_commands_total{instance=\"cache\",result=\"answered\"} ",
        "app_valkey_commands_total{instance=\"durable\",result=\"answered\"} ",
    ] {
        assert!(metrics.contains(&format!("\n{gauge}")), "no {gauge} in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_was_given_up_is_listed_and_runs_again() {
    let (stage, receiver) = stage().await;
    let _worker = work(&stage);
    let id = seed::id();
    let event =
        json!({"type": "project.created", "timestamp": "2026-11-02T09:30:00Z", "data": {"name": "by hand"}});
    // A job that cannot succeed: it says nothing of whose it is.
    let insert = format!(
        "INSERT INTO jobs (id, queue, kind, payload, run_at, feed_at, max_attempts) \
         VALUES ('{id}', 'default', 'webhook.dispatch', '{event}', now(), now(), 3)"
    );
    stage.servers.sql(&insert, "app");
    wait_until("the job to be given up", || stage.count("jobs WHERE dead_at IS NOT NULL") == "1");
    let gauge = "app_jobs_dead_letters{queue=\"default\",kind=\"webhook.dispatch\"} 1";
    until("the metrics to say so", async || stage.application.metrics().await.contains(gauge)).await;

    let (code, listed, error) = command(&stage, &["jobs", "dead", "--json"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let job = &listed["jobs"][0];
    assert_eq!(
        (&job["id"], &job["last_error"], &job["attempts"], &job["payload"]),
        (&json!(id), &json!("an event has an organization"), &json!(1), &event)
    );
    let (_, listed, _) = command(&stage, &["jobs", "dead"]);
    assert!(listed.contains(&id.to_string()) && listed.contains("an event has an organization"), "{listed}");
    let (_, other, _) = command(&stage, &["jobs", "dead", "--kind", "webhook.deliver", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&other).unwrap(), json!({"jobs": []}));
    let (_, depths, _) = command(&stage, &["jobs", "depths", "--json"]);
    let depths: Value = serde_json::from_str(&depths).unwrap();
    let dispatch =
        depths["queues"].as_array().unwrap().iter().find(|queue| queue["kind"] == "webhook.dispatch");
    assert_eq!(dispatch.unwrap()["dead"], 1, "{depths}");

    stage
        .servers
        .sql(&format!("UPDATE jobs SET organization_id = '{}' WHERE id = '{id}'", stage.organization), "app");
    let replay = ["jobs", "replay", &id.to_string()];
    let (code, said, _) = command(&stage, &replay);
    assert_eq!((code, said.trim()), (Some(0), format!("job {id} runs again").as_str()));
    receiver.wait_for(1).await;
    assert_eq!(told(&receiver), BTreeSet::from(["by hand".to_owned()]));
    wait_until("the job to be finished", || {
        stage.count(&format!("jobs WHERE id = '{id}' AND finished_at IS NOT NULL")) == "1"
    });
    let (code, _, error) = command(&stage, &replay);
    assert!(code == Some(1) && error.contains("none that was given up"), "{error}");
    assert_eq!(command(&stage, &["jobs", "replay", "nonsense"]).0, Some(2));

    // What is not to run again is removed, and nothing else is.
    let discard = ["jobs", "discard", &id.to_string()];
    let (code, _, error) = command(&stage, &discard);
    assert!(code == Some(1) && error.contains("none that was given up"), "{error}");
    assert_eq!(stage.count(&format!("jobs WHERE id = '{id}'")), "1");
    let give_up = "UPDATE jobs SET finished_at = NULL, dead_at = now(), last_error = E'no\nmore'";
    stage.servers.sql(&format!("{give_up} WHERE id = '{id}'"), "app");
    let (code, said, _) = command(&stage, &discard);
    assert_eq!(code, Some(0));
    assert!(
        said.contains(&format!("job {id} of the kind webhook.dispatch is removed"))
            && said.contains("nomore")
    );
    assert_eq!(stage.count(&format!("jobs WHERE id = '{id}'")), "0");
    assert_eq!(command(&stage, &discard).0, Some(1));
    assert!(command(&stage, &["jobs", "discard", "--help"]).1.contains("Example:"));
    let (code, _, error) = {
        let Output { status, stdout, stderr } = run(&["jobs", "depths"], &std::collections::BTreeMap::new());
        (status.code(), stdout, String::from_utf8(stderr).unwrap())
    };
    assert!(
        code == Some(2) && error.contains("DATABASE_URL:") && error.contains("PRIVATE_CA_FILE:"),
        "{error}"
    );
}
