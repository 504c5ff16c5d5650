//! One Idempotency-Key, many requests at the same moment: one effect, and the same answer to all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::stage::Stage;
use crate::support::application::Answer;
use crate::support::seed::{self, ALL_SCOPES};
use crate::wire::{Ask, Wire};

const REQUESTS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends the request on so many connections at the same moment, and again where it was told to come back.
async fn at_once(stage: &Stage, ask: Ask) -> Vec<Answer> {
    let barrier = Arc::new(Barrier::new(REQUESTS));
    let mut clients = JoinSet::new();
    for _ in 0..REQUESTS {
        let (mut wire, ask, barrier) = (Wire::to(&stage.application), ask.clone(), Arc::clone(&barrier));
        clients.spawn(async move {
            // The connection is there before.
            assert_eq!(wire.send(&Ask::new(Method::GET, "/livez")).await.unwrap().status, 200);
            let started = Instant::now();
            barrier.wait().await;
            loop {
                let answer = wire.send(&ask).await.unwrap();
                if answer.status != 409 {
                    return answer;
                }
                assert_eq!(answer.json()["code"], "idempotency-key-in-use", "{}", answer.text);
                assert!(!answer.header("retry-after").is_empty());
                assert!(started.elapsed() < PATIENCE, "the first request did not end");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    clients.join_all().await
}

/// All are one answer, which one request got first.
#[track_caller]
fn assert_one(answers: &[Answer], status: u16) {
    let different: BTreeSet<_> = answers
        .iter()
        .map(|answer| {
            (answer.status.as_u16(), answer.text.as_str(), answer.header("etag"), answer.header("location"))
        })
        .collect();
    assert_eq!(different.len(), 1, "{different:?}");
    assert_eq!(answers[0].status, status, "{}", answers[0].text);
    let first = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_empty()).count();
    assert_eq!((answers.len(), first), (REQUESTS, 1), "one is the first");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn one_key_in_64_requests_at_once_is_one_effect_and_one_answer() {
    let stage = Stage::new().await;
    let token = seed::token(&stage.servers, stage.organization, ALL_SCOPES);
    let project = stage.caller(token.clone()).post("/api/v1/projects", &json!({"name": "Garden"})).await;
    let write = |body: &Value, key: &str| {
        Ask::new(Method::POST, "/api/v1/tasks").bearer(&token).json(body).header("idempotency-key", key)
    };
    let body = json!({"project_id": project.json()["id"], "title": "Water"});
    for round in 1..=3 {
        let answers = at_once(&stage, write(&body, &format!("\"round-{round}\""))).await;
        assert_one(&answers, 201);
        let effects = [
            "tasks".to_owned(),
            "audit_events WHERE action = 'task.create'".to_owned(),
            "jobs WHERE payload::text LIKE '%task.created%'".to_owned(),
            "idempotency_keys".to_owned(),
        ];
        for effect in effects {
            assert_eq!(stage.count(&effect), round.to_string(), "{effect}");
        }
    }
    // A refusal is an answer like any other.
    let nowhere = json!({"project_id": seed::id(), "title": "Water"});
    assert_one(&at_once(&stage, write(&nowhere, "refused")).await, 404);
    let caller = stage.caller(token.clone());
    let reused =
        caller.send(Method::POST, "/api/v1/tasks", &[("idempotency-key", "refused")], Some(&body)).await;
    assert_eq!(reused.json()["code"], "idempotency-key-reused");
    assert_eq!(stage.count("tasks"), "3");
}
