//! The servers, the schema and the workers of a test.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use foundation::audit::Origin;
use foundation::clock::testing::FixedClock;
use foundation::clock::{Clock, Randomness, SystemClock, SystemRandomness, new_id};
use foundation::database::Database;
use foundation::jobs::{Queue, Registry, Schedule, Settings, Worker};
use foundation::migrate::Migration;
use foundation::outbox::{self, NewJob};
use foundation::problem::Problem;
use foundation::testing::servers::{Server, Servers};
use foundation::valkey::Valkey;
use foundation::write::idempotency::Answer;
use foundation::write::{Ask, Begun, Unit, Writes};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "jobs", sql: outbox::MIGRATION },
    Migration { version: 2, name: "tokens", sql: foundation::auth::token_store::MIGRATION },
    Migration { version: 3, name: "audit", sql: foundation::audit::MIGRATION },
    Migration { version: 4, name: "webhooks", sql: foundation::webhook::MIGRATION },
    Migration { version: 5, name: "jobs by organization", sql: outbox::BY_ORGANIZATION },
];

/// Everything a test of jobs needs; clones are the same.
#[derive(Clone)]
pub struct Platform(Arc<Inner>);

struct Inner {
    servers: Mutex<Servers>,
    database: Database,
    valkey: Arc<Valkey>,
    admin: Valkey,
    queue: Queue,
    clock: Arc<FixedClock>,
    randomness: Arc<SystemRandomness>,
    notes: Mutex<Vec<String>>,
}

impl Platform {
    pub async fn start() -> Self {
        let servers = Servers::start();
        servers.migrate(MIGRATIONS).await;
        let ca = servers.private_ca();
        let database = Database::new(&servers.database_as("app", Server::PgBouncer), &ca).unwrap();
        let durable =
            |user: &str| Valkey::new("durable", &servers.valkey_as(user, Server::Durable), &ca).unwrap();
        let (valkey, admin) = (Arc::new(durable("app")), durable("admin"));
        Self(Arc::new(Inner {
            servers: Mutex::new(servers),
            database,
            queue: Queue::new(Arc::clone(&valkey)),
            valkey,
            admin,
            clock: Arc::new(FixedClock::at(SystemClock.now())),
            randomness: Arc::new(SystemRandomness),
            notes: Mutex::default(),
        }))
    }

    pub fn database(&self) -> &Database {
        &self.0.database
    }

    pub fn valkey(&self) -> Arc<Valkey> {
        Arc::clone(&self.0.valkey)
    }

    pub fn clock(&self) -> &FixedClock {
        &self.0.clock
    }

    pub fn id(&self) -> Uuid {
        new_id(&*self.0.clock, &*self.0.randomness)
    }

    pub fn job(&self, kind: &str, payload: &impl Serialize) -> NewJob {
        NewJob::new(kind, payload, &*self.0.clock, &*self.0.randomness).unwrap()
    }

    pub async fn enqueue(&self, job: &NewJob) -> Option<Uuid> {
        let client = self.0.database.connection().await.unwrap();
        let id = outbox::enqueue(&client, job).await.unwrap();
        self.0.queue.wake();
        id
    }

    /// What `effect` comes to in a write of the organization, by the machine's clock.
    pub async fn write<T>(
        &self,
        organization: Uuid,
        effect: impl AsyncFnOnce(&mut Unit) -> Result<T, Problem>,
    ) -> T {
        let randomness: Arc<dyn Randomness> = self.0.randomness.clone();
        let keys_last = Duration::from_secs(60);
        let writes = Writes::new(self.0.database.clone(), Arc::new(SystemClock), randomness, keys_last)
            .waking(self.0.queue.clone());
        let origin = Origin {
            actor_kind: "system",
            actor_id: None,
            token_id: None,
            organization: Some(organization),
            address: None,
            user_agent: None,
            request_id: "test".to_owned(),
        };
        let ask = Ask { origin: &origin, route: "POST /", payload: b"", works_in: None, key: None };
        let Begun::New(mut unit) = writes.begin(ask).await.unwrap() else { panic!("there is no key") };
        let outcome = effect(&mut unit).await.unwrap();
        unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.unwrap();
        outcome
    }

    /// Short times, so that a test of what takes them is over soon.
    pub fn settings(&self) -> Settings {
        Settings {
            poll: Duration::from_millis(200),
            feed_again: Duration::from_millis(1500),
            lease: Duration::from_secs(3),
            drain: Duration::from_millis(500),
            ..Settings::default()
        }
    }

    pub fn work(&self, registry: Registry) -> Running {
        self.work_on(registry, Vec::new())
    }

    pub fn work_on(&self, registry: Registry, schedules: Vec<Schedule>) -> Running {
        self.work_with(registry, schedules, self.settings())
    }

    /// A worker with signals of its own, as in another process.
    pub fn work_with(&self, registry: Registry, schedules: Vec<Schedule>, settings: Settings) -> Running {
        let clock: Arc<dyn Clock> = self.0.clock.clone();
        let randomness: Arc<dyn Randomness> = self.0.randomness.clone();
        let queue = Queue::new(self.valkey());
        let worker = Worker::new(self.0.database.clone(), queue, registry, clock, randomness)
            .schedules(schedules)
            .settings(settings);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(worker.run(async move {
            let _ = stopped.await;
        }));
        Running { stop, task }
    }

    pub fn note(&self, text: &str) {
        self.0.notes.lock().unwrap().push(text.to_owned());
    }

    pub fn count(&self, text: &str) -> usize {
        self.0.notes.lock().unwrap().iter().filter(|note| *note == text).count()
    }

    pub fn sql(&self, statement: &str) -> String {
        self.0.servers.lock().unwrap().sql(statement, "app")
    }

    /// Removes every key and says how many there were.
    pub async fn wipe_valkey(&self) -> i64 {
        let keys: i64 = self.0.admin.ask(&redis::cmd("DBSIZE")).await.unwrap();
        let () = self.0.admin.ask(&redis::cmd("FLUSHALL")).await.unwrap();
        keys
    }

    /// Who hears the signals of jobs.
    pub fn subscribers(&self) -> i64 {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let (_, count): (String, i64) =
                    self.0.admin.ask(redis::cmd("PUBSUB").arg("NUMSUB").arg("app:jobs")).await.unwrap();
                count
            })
        })
    }

    pub fn restart(&self, server: Server) {
        let mut servers = self.0.servers.lock().unwrap();
        servers.stop_one(server);
        servers.start_one(server);
    }
}

/// A worker that runs.
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// In order.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("a worker stops").unwrap();
    }

    /// As if its process were killed: nothing is given back or recorded.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Waits for a condition, with a deadline.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "waited 30 s in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
