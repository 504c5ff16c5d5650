//! What jobs did, and what waits.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::database::{Database, DatabaseError};

const DEPTHS: &str = "\
    SELECT queue, kind, count(*) FILTER (WHERE feed_at IS NOT NULL), count(*) FILTER (WHERE dead_at IS NOT NULL), \
           coalesce(extract(epoch FROM now() - min(run_at) FILTER (WHERE feed_at IS NOT NULL AND run_at <= now())), \
                    0)::float8 \
    FROM jobs WHERE feed_at IS NOT NULL OR dead_at IS NOT NULL GROUP BY queue, kind";

/// The kind of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    kind: &'static str,
}

/// Counts of this process, by kind.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    runs: Family<KindLabel, Counter>,
    failures: Family<KindLabel, Counter>,
    dead: Family<KindLabel, Counter>,
}

impl Metrics {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("jobs_runs", "Attempts that ended, by kind", self.runs.clone());
        registry.register("jobs_failures", "Attempts that failed, by kind", self.failures.clone());
        registry.register("jobs_dead", "Jobs given up, by kind", self.dead.clone());
    }

    pub(super) fn ran(&self, kind: &'static str) {
        self.runs.get_or_create(&KindLabel { kind }).inc();
    }

    pub(super) fn failed(&self, kind: &'static str) {
        self.failures.get_or_create(&KindLabel { kind }).inc();
    }

    pub(super) fn buried(&self, kind: &'static str) {
        self.dead.get_or_create(&KindLabel { kind }).inc();
    }
}

/// How much waits, of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Depth {
    /// The queue.
    pub queue: String,
    /// The kind.
    pub kind: String,
    /// Jobs that are not finished, those that run included.
    pub unfinished: i64,
    /// Jobs that were given up.
    pub dead: i64,
    /// How long the oldest has been due, in seconds.
    pub oldest_seconds: f64,
}

/// How much waits, by kind: for gauges that are filled when they are asked for.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub async fn depths(database: &Database) -> Result<Vec<Depth>, DatabaseError> {
    database
        .ask(async |client| {
            let statement = client.prepare_cached(DEPTHS).await?;
            let rows = client.query(&statement, &[]).await?;
            let depths = rows.iter().map(|row| Depth {
                queue: row.get(0),
                kind: row.get(1),
                unfinished: row.get(2),
                dead: row.get(3),
                oldest_seconds: row.get(4),
            });
            Ok(depths.collect())
        })
        .await
}
