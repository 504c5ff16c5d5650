//! A worker: feeds, keeps the schedules, runs jobs, and stops in order.

use std::sync::Arc;
use std::time::Duration;

use super::finishing::Finishing;
use super::{Metrics, Queue, Registry, Schedule, feeder, runner, schedule, store};
use crate::clock::{Clock, Randomness};
use crate::database::Database;
use crate::outbox::DEFAULT_QUEUE;

/// How often finished jobs are swept.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// The times of a worker.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose jobs it runs.
    pub queue: String,
    /// How often it looks for jobs without being told.
    pub poll: Duration,
    /// A job that was fed and not claimed for this long is fed again: the queue may have been lost.
    pub feed_again: Duration,
    /// A job whose worker does not renew its lease for this long is run again: the worker may have died.
    pub lease: Duration,
    /// When told to stop, what runs may take this long; then it is given back.
    pub drain: Duration,
    /// Finished jobs are kept this long.
    pub kept: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue: DEFAULT_QUEUE.to_owned(),
            poll: Duration::from_secs(1),
            feed_again: Duration::from_secs(15),
            lease: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            kept: Duration::from_secs(24 * 3600),
        }
    }
}

/// What the parts of a worker share.
pub(super) struct Shared {
    pub(super) database: Database,
    pub(super) queue: Queue,
    pub(super) registry: Registry,
    pub(super) schedules: Vec<Schedule>,
    pub(super) settings: Settings,
    pub(super) metrics: Metrics,
    pub(super) finishing: Finishing,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) randomness: Arc<dyn Randomness>,
}

/// Runs jobs, in the application's process or in one of its own.
pub struct Worker {
    shared: Shared,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Worker")
            .field("settings", &self.shared.settings)
            .field("registry", &self.shared.registry)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker with these handlers and nothing on a schedule.
    #[must_use]
    pub fn new(
        database: Database,
        queue: Queue,
        registry: Registry,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        let shared = Shared {
            database,
            queue,
            registry,
            schedules: Vec::new(),
            settings: Settings::default(),
            metrics: Metrics::default(),
            finishing: Finishing::default(),
            clock,
            randomness,
        };
        Self { shared }
    }

    /// Makes jobs by the clock.
    #[must_use]
    pub fn schedules(mut self, schedules: Vec<Schedule>) -> Self {
        self.shared.schedules = schedules;
        self
    }

    /// Other times than the usual ones.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.shared.settings = settings;
        self
    }

    /// Counts here.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.shared.metrics = metrics;
        self
    }

    /// Runs until `stop` completes; then finishes what runs or, when that takes too long, gives it back, and returns.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let shared = Arc::new(self.shared);
        tokio::select! {
            // These four never end.
            () = feeder::feed(&shared) => {}
            () = feeder::listen(&shared.queue, shared.settings.poll) => {}
            () = schedule::keep(&shared) => {}
            () = prune(&shared) => {}
            () = runner::run(&shared, stop) => {}
        }
    }
}

async fn prune(shared: &Shared) {
    loop {
        match store::prune(&shared.database, shared.settings.kept).await {
            // There may be more.
            Ok(pruned) if pruned >= store::PRUNED_AT_ONCE => continue,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "finished jobs could not be swept; trying again later"),
        }
        tokio::time::sleep(PRUNE_EVERY).await;
    }
}
