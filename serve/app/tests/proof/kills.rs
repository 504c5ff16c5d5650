//! The application is killed at random moments while clients write with keys and try again: nothing is lost, nothing is
//! done twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use axum::http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::stage::Stage;
use crate::support::seed::{self, ALL_SCOPES};
use crate::wire::{Ask, Wire};

const WRITES: usize = 10_000;
const CLIENTS: usize = 16;
/// Each makes as many writes as its limit lets through.
const TOKENS: usize = 25;
const KILLS: u32 = 12;
/// The whole proof gives up after this.
const PATIENCE: Duration = Duration::from_secs(300);

/// What follows from the seed: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    /// A number below this.
    fn throw(&mut self, below: u64) -> u64 {
        // xorshift64*: no more is asked of it than to be scattered.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }
}

/// What all clients share.
struct Work {
    tokens: Vec<String>,
    project: Value,
    next: AtomicUsize,
    tries: AtomicUsize,
    given_up: AtomicBool,
}

impl Work {
    fn ask(&self, number: usize) -> Ask {
        let body = json!({"project_id": self.project, "title": format!("Task {number}")});
        Ask::new(Method::POST, "/api/v1/tasks")
            .bearer(&self.tokens[number % TOKENS])
            .json(&body)
            .header("idempotency-key", format!("\"write-{number}\""))
            .header("x-forwarded-for", format!("198.51.100.{}", number % TOKENS + 1))
    }
}

/// Makes one write after the other, each until it is answered.
async fn write(work: Arc<Work>, mut wire: Wire) -> Vec<(usize, String)> {
    let mut made = Vec::new();
    loop {
        let number = work.next.fetch_add(1, Ordering::Relaxed);
        if number >= WRITES {
            return made;
        }
        let ask = work.ask(number);
        loop {
            assert!(!work.given_up.load(Ordering::Relaxed), "write {number} was never answered");
            work.tries.fetch_add(1, Ordering::Relaxed);
            match wire.send(&ask).await {
                Ok(answer) if answer.status == 201 => {
                    made.push((number, answer.text));
                    break;
                }
                Ok(answer) => {
                    let may_follow = matches!(answer.status.as_u16(), 409 | 429 | 503);
                    assert!(may_follow, "write {number}: {} {}", answer.status, answer.text);
                }
                // Killed before, meanwhile or not started yet.
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_is_killed_in_10000_writes_has_done_each_of_them_once() {
    let seed = std::env::var("KILLS_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64);
    println!("KILLS_SEED={seed} chooses the same moments again");
    let mut dice = Dice(seed | 1);
    let mut stage = Stage::new().await;
    let tokens: Vec<String> =
        (0..TOKENS).map(|_| seed::token(&stage.servers, stage.organization, ALL_SCOPES)).collect();
    let project = stage.caller(tokens[0].clone()).post("/api/v1/projects", &json!({"name": "Garden"})).await;
    let work = Arc::new(Work {
        tokens,
        project: project.json()["id"].clone(),
        next: AtomicUsize::new(0),
        tries: AtomicUsize::new(0),
        given_up: AtomicBool::new(false),
    });

    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(write(Arc::clone(&work), Wire::to(&stage.application)));
    }
    let mut kills = 0;
    while work.next.load(Ordering::Relaxed) < WRITES {
        if started.elapsed() > PATIENCE {
            work.given_up.store(true, Ordering::Relaxed);
            break;
        }
        // After so many more writes, and a little later: in the middle of some.
        let goal = (u64::from(kills) + 1) * WRITES as u64 / u64::from(KILLS + 1) + dice.throw(200);
        let due = work.next.load(Ordering::Relaxed) as u64 >= goal;
        if kills < KILLS && due {
            tokio::time::sleep(Duration::from_micros(dice.throw(20_000))).await;
            stage.application.kill();
            stage.application.start_again(&[]);
            kills += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let made: Vec<(usize, String)> = clients.join_all().await.into_iter().flatten().collect();
    let tries = work.tries.load(Ordering::Relaxed);
    println!("{WRITES} writes, {tries} tries, {kills} kills, {:.1} s", started.elapsed().as_secs_f64());
    assert!(kills >= KILLS / 2 && tries > WRITES, "{kills} kills, {tries} tries: nothing was interrupted");

    verify(&stage, &work, &made).await;
}

/// Everything is there once, and what was answered is what there is.
async fn verify(stage: &Stage, work: &Work, made: &[(usize, String)]) {
    let ids: BTreeSet<String> = made
        .iter()
        .map(|(number, text)| {
            let task: Value = serde_json::from_str(text).unwrap();
            assert_eq!(task["title"], format!("Task {number}"));
            task["id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(ids.len(), WRITES, "every write has an effect of its own");
    let all = WRITES.to_string();
    for effect in [
        "tasks",
        "(SELECT DISTINCT title FROM tasks) AS titles",
        "audit_events WHERE action = 'task.create' AND result = 'success'",
        "(SELECT DISTINCT resource_id FROM audit_events WHERE action = 'task.create') AS named",
        "jobs WHERE payload::text LIKE '%task.created%'",
        "(SELECT DISTINCT payload->'data'->>'id' FROM jobs WHERE payload::text LIKE '%task.created%') AS told",
        "idempotency_keys WHERE route = 'POST /api/v1/tasks'",
    ] {
        assert_eq!(stage.count(effect), all, "{effect}");
    }

    // The same again is the same answer.
    let mut wire = Wire::to(&stage.application);
    for (number, text) in made.iter().step_by(WRITES / 50) {
        let again = wire.send(&work.ask(*number)).await.unwrap();
        assert_eq!((again.status.as_u16(), &again.text), (201, text), "write {number}");
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
    assert_eq!(stage.count("tasks"), all);

    let unsealed = "audit_events WHERE position > coalesce((SELECT max(last_position) FROM audit_batches \
                    WHERE audit_batches.organization_id = audit_events.organization_id), '0')";
    let started = Instant::now();
    while stage.count(unsealed) != "0" {
        assert!(started.elapsed() < Duration::from_secs(60), "the events were not sealed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let chain = stage.caller(work.tokens[0].clone()).get("/api/v1/audit-chain").await;
    assert_eq!(chain.status, 200, "{}", chain.text);
    let chain = chain.json();
    assert_eq!(
        (&chain["intact"], &chain["complete"], &chain["unsealed"]),
        (&json!(true), &json!(true), &json!(0)),
        "{chain}"
    );
    assert_eq!(chain["events"].to_string(), stage.count("audit_events"), "{chain}");
}
