//! Jobs against real PostgreSQL, PgBouncer and Valkey: what is committed runs, whatever dies.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

mod platform;
mod webhooks;

use std::time::Duration;

use foundation::jobs::{
    Backoff, Failure, Handler, Job, Policy, Queue, Registry, Schedule, list_dead, replay,
};
use foundation::outbox::NewJob;
use foundation::testing::servers::Server;
use platform::{Platform, eventually};
use serde_json::json;
use tokio::sync::oneshot;
use uuid::Uuid;

const NEEDS: &str = "SELECT count(*) FROM jobs WHERE finished_at IS NULL";

/// Tests do not wait for the next attempt.
const SOON: Backoff = Backoff::Steps(&[Duration::from_millis(20)]);

/// Writes down that it ran, as a row, after a while.
struct Note {
    platform: Platform,
    takes: Duration,
}

impl Handler for Note {
    const KIND: &'static str = "note";
    type Payload = u64;

    fn policy(&self) -> Policy {
        Policy { concurrency: 4, limit: Duration::from_secs(20), backoff: SOON, ..Policy::default() }
    }

    async fn run(&self, job: Job<u64>) -> Result<(), Failure> {
        self.platform.note(&format!("start {}", job.payload));
        tokio::time::sleep(self.takes).await;
        self.platform.note(&format!("end {}", job.payload));
        Ok(())
    }
}

/// Fails until told not to.
struct Fail(Platform);

impl Handler for Fail {
    const KIND: &'static str = "fail";
    type Payload = String;

    fn policy(&self) -> Policy {
        Policy { backoff: SOON, ..Policy::default() }
    }

    async fn run(&self, job: Job<String>) -> Result<(), Failure> {
        self.0.note(&format!("attempt {}", job.attempt));
        match job.payload.as_str() {
            "panic" => panic!("as asked"),
            _ if self.0.count("let it pass") > 0 => Ok(()),
            reason => Err(Failure::Again(reason.to_owned())),
        }
    }
}

/// Holds its slot for longer than a test waits, where its organization is to.
struct Hold {
    platform: Platform,
    slow: Uuid,
}

impl Handler for Hold {
    const KIND: &'static str = "hold";
    type Payload = u64;

    fn policy(&self) -> Policy {
        Policy { share: Some(2), ..Policy::default() }
    }

    async fn run(&self, job: Job<u64>) -> Result<(), Failure> {
        self.platform.note(&format!("start {}", job.payload));
        if job.organization_id == Some(self.slow) {
            tokio::time::sleep(Duration::from_secs(50)).await;
        }
        Ok(())
    }
}

fn notes(platform: &Platform, takes: Duration) -> Registry {
    Registry::default().with(Note { platform: platform.clone(), takes })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn two_workers_run_each_job_once() {
    let platform = Platform::start().await;
    for number in 0..300_u64 {
        platform.enqueue(&platform.job("note", &number)).await.unwrap();
    }
    let first = platform.work(notes(&platform, Duration::from_millis(5)));
    let second = platform.work(notes(&platform, Duration::from_millis(5)));
    eventually("all jobs to finish", || platform.sql(NEEDS) == "0").await;
    for number in 0..300 {
        assert_eq!(platform.count(&format!("end {number}")), 1, "job {number}");
    }
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_is_rolled_back_does_not_run() {
    let platform = Platform::start().await;
    let mut connection = platform.database().connection().await.unwrap();
    let transaction = connection.transaction().await.unwrap();
    foundation::outbox::enqueue(&transaction, &platform.job("note", &1)).await.unwrap();
    transaction.rollback().await.unwrap();
    platform.enqueue(&platform.job("note", &2)).await.unwrap();
    let worker = platform.work(notes(&platform, Duration::ZERO));
    eventually("the committed job to run", || platform.count("end 2") == 1).await;
    assert_eq!(platform.count("start 1"), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_killed_worker_s_job_runs_elsewhere() {
    let platform = Platform::start().await;
    platform.enqueue(&platform.job("note", &1)).await.unwrap();
    let killed = platform.work(notes(&platform, Duration::from_secs(15)));
    eventually("the job to start", || platform.count("start 1") == 1).await;
    killed.kill().await;
    let worker = platform.work(notes(&platform, Duration::ZERO));
    eventually("the job to run again", || platform.sql(NEEDS) == "0").await;
    assert_eq!((platform.count("start 1"), platform.count("end 1")), (2, 1));
    assert_eq!(platform.sql("SELECT attempts FROM jobs"), "2");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_wiped_queue_loses_nothing() {
    let platform = Platform::start().await;
    let worker = platform.work(notes(&platform, Duration::from_millis(100)));
    for number in 0..100_u64 {
        platform.enqueue(&platform.job("note", &number)).await.unwrap();
    }
    eventually("jobs to be in the queue", || {
        platform.sql("SELECT count(*) FROM jobs WHERE feed_at <= now() AND lease IS NULL") == "0"
    })
    .await;
    assert!(platform.wipe_valkey().await > 0, "the queue was not empty");
    eventually("all jobs to finish", || platform.sql(NEEDS) == "0").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn servers_restart_under_running_jobs() {
    let platform = Platform::start().await;
    let worker = platform.work(notes(&platform, Duration::from_millis(200)));
    for number in 0..60_u64 {
        platform.enqueue(&platform.job("note", &number)).await.unwrap();
    }
    eventually("a job to finish", || platform.sql(NEEDS) != "60").await;
    platform.restart(Server::Postgres);
    platform.restart(Server::Durable);
    eventually("all jobs to finish", || platform.sql(NEEDS) == "0").await;
    assert_eq!(platform.sql("SELECT count(*) FROM jobs WHERE dead_at IS NOT NULL"), "0");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_unique_key_holds_while_unfinished() {
    let platform = Platform::start().await;
    let job = |number: u64| platform.job("note", &number).unique("only one");
    assert!(platform.enqueue(&job(1)).await.is_some());
    assert!(platform.enqueue(&job(2)).await.is_none());
    let worker = platform.work(notes(&platform, Duration::ZERO));
    eventually("the first to finish", || platform.sql(NEEDS) == "0").await;
    assert!(platform.enqueue(&job(3)).await.is_some());
    eventually("the next to finish", || platform.count("end 3") == 1).await;
    assert_eq!(platform.count("start 2"), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_organization_has_no_more_than_its_share_of_the_slots_and_of_the_queue() {
    let platform = Platform::start().await;
    let (slow, other) = (platform.id(), platform.id());
    // More than fit into the queue, and all of them due before those of others.
    platform.sql(&format!(
        "INSERT INTO jobs (id, queue, kind, organization_id, payload, run_at, feed_at, max_attempts) \
         SELECT gen_random_uuid(), 'default', 'hold', '{slow}', '0', now() - interval '1 second', \
                now() - interval '1 second', 3 FROM generate_series(1, 3000)"
    ));
    let worker = platform.work(Registry::default().with(Hold { platform: platform.clone(), slow }));
    eventually("its share to run", || platform.count("start 0") >= 2).await;
    for number in 1..=10 {
        platform.enqueue(&platform.job("hold", &number).organization(other)).await.unwrap();
    }
    platform.enqueue(&platform.job("hold", &11)).await.unwrap();
    eventually("the jobs of others to run", || {
        platform.sql("SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL") == "11"
    })
    .await;
    assert_eq!(platform.count("start 0"), 2);
    // What waits has neither been tried nor lost its place.
    assert_eq!(
        platform.sql(&format!(
            "SELECT count(*), max(attempts), max(run_at) < min(created_at) FROM jobs \
             WHERE organization_id = '{slow}' AND lease IS NULL"
        )),
        "2998|0|t"
    );
    // Its jobs are quick where another worker goes on: what was put off is not away for longer than it must.
    worker.kill().await;
    let next = platform.work(Registry::default().with(Hold { platform: platform.clone(), slow: other }));
    eventually("all of it to finish", || platform.sql(NEEDS) == "0").await;
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_schedule_of_two_processes_makes_each_job_once() {
    let platform = Platform::start().await;
    let every_hour = Schedule {
        name: "hourly",
        kind: "note",
        every: Duration::from_secs(3600),
        offset: Duration::ZERO,
        payload: json!(7),
    };
    let start = || platform.work_on(notes(&platform, Duration::ZERO), vec![every_hour.clone()]);
    let (first, second) = (start(), start());
    for round in 1..4 {
        eventually("the job of this hour", || platform.count("end 7") == round).await;
        platform.clock().advance(Duration::from_secs(3600));
    }
    eventually("the last one", || platform.count("end 7") == 4).await;
    assert_eq!(platform.sql("SELECT count(*) FROM jobs"), "4");
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_fails_is_tried_again_then_dead_and_can_be_replayed() {
    let platform = Platform::start().await;
    let worker = platform.work(Registry::default().with(Fail(platform.clone())));
    let job = platform.job("fail", &"because").attempts(3);
    platform.enqueue(&job).await.unwrap();
    eventually("the job to be dead", || {
        platform.sql("SELECT count(*) FROM jobs WHERE dead_at IS NOT NULL") == "1"
    })
    .await;
    assert_eq!((1..=4).map(|n| platform.count(&format!("attempt {n}"))).collect::<Vec<_>>(), [1, 1, 1, 0]);
    let client = platform.database().connection().await.unwrap();
    let dead = list_dead(&client, Some("fail"), None, 10).await.unwrap();
    assert_eq!((dead[0].id, dead[0].attempts, dead[0].last_error.as_deref()), (job.id, 3, Some("because")));
    platform.note("let it pass");
    assert!(replay(&client, job.id).await.unwrap());
    assert!(!replay(&client, job.id).await.unwrap(), "it is not dead any more");
    eventually("the job to finish", || platform.sql(NEEDS) == "0").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn finished_jobs_go_when_their_time_is_over_however_many() {
    let platform = Platform::start().await;
    let finished = |count: u32, ago: &str| {
        platform.sql(&format!(
            "INSERT INTO jobs (id, queue, kind, payload, run_at, max_attempts, finished_at) \
             SELECT gen_random_uuid(), 'default', 'old', 'null', now(), 1, now() - interval '{ago}' \
             FROM generate_series(1, {count})"
        ));
    };
    finished(2_500, "25 hours");
    finished(1, "23 hours");
    let worker = platform.work(Registry::default());
    eventually("the old ones to go", || platform.sql("SELECT count(*) FROM jobs") == "1").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_panic_is_a_failure() {
    let platform = Platform::start().await;
    let worker = platform.work(Registry::default().with(Fail(platform.clone())));
    platform.enqueue(&platform.job("fail", &"panic").attempts(1)).await.unwrap();
    eventually("the job to be dead", || {
        platform.sql("SELECT last_error FROM jobs WHERE dead_at IS NOT NULL") == "the handler panicked"
    })
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_stopped_worker_gives_back_what_it_cannot_finish() {
    let platform = Platform::start().await;
    platform.enqueue(&platform.job("note", &1)).await.unwrap();
    let worker = platform.work(notes(&platform, Duration::from_secs(15)));
    eventually("the job to start", || platform.count("start 1") == 1).await;
    worker.stop().await;
    assert_eq!(platform.sql("SELECT attempts, lease IS NULL, feed_at <= now() FROM jobs"), "0|t|t");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_process_without_a_worker_wakes_those_of_others() {
    let platform = Platform::start().await;
    let settings = foundation::jobs::Settings { poll: Duration::from_secs(600), ..platform.settings() };
    let worker = platform.work_with(notes(&platform, Duration::ZERO), Vec::new(), settings);
    let elsewhere = Queue::new(platform.valkey());
    let (stop, stopped) = oneshot::channel::<()>();
    let forwarding = {
        let queue = elsewhere.clone();
        tokio::spawn(async move {
            tokio::select! { () = queue.forward() => {}, _ = stopped => {} }
        })
    };
    // Its first look and its subscription are over once it answers to a signal.
    eventually("the worker to hear", || {
        elsewhere.wake();
        platform.subscribers() > 0
    })
    .await;
    let connection = platform.database().connection().await.unwrap();
    foundation::outbox::enqueue(&connection, &NewJob { id: platform.id(), ..platform.job("note", &9) })
        .await
        .unwrap();
    elsewhere.wake();
    eventually("the job to run", || platform.count("end 9") == 1).await;
    let _ = stop.send(());
    forwarding.await.unwrap();
    worker.stop().await;
}
