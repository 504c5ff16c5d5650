//! What jobs did, and what waits.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use serde::Serialize;

use super::Queue;
use super::store::StoreError;
use crate::database::{Database, DatabaseError};

/// How often what waits is looked up.
const LOOKED_UP: Duration = Duration::from_secs(10);

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
#[derive(Debug, Clone, PartialEq, Serialize)]
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

/// How much waits, by kind.
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

/// A queue's jobs of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct QueueLabels {
    queue: String,
    kind: String,
}

/// What waits, as gauges that are looked up every so often. All processes say the same.
#[derive(Debug, Default)]
pub struct Depths {
    unfinished: Family<QueueLabels, Gauge>,
    oldest: Family<QueueLabels, Gauge<f64, AtomicU64>>,
    dead: Family<QueueLabels, Gauge>,
    queued: Family<QueueLabels, Gauge>,
    seen: Mutex<BTreeSet<QueueLabels>>,
}

impl Depths {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let unfinished = "Jobs in the outbox that are not finished, those that run included";
        registry.register("jobs_unfinished", unfinished, self.unfinished.clone());
        let oldest = "How long the oldest unfinished job has been due";
        registry.register_with_unit("jobs_oldest_due", oldest, Unit::Seconds, self.oldest.clone());
        registry.register("jobs_dead_letters", "Jobs given up and not replayed", self.dead.clone());
        registry.register("jobs_queued", "Jobs in the queue on Valkey", self.queued.clone());
    }

    /// Looks up what waits every so often, until dropped. While it cannot be had, the gauges are absent rather than old.
    pub async fn keep(&self, database: &Database, queue: &Queue) {
        loop {
            if let Err(error) = self.look_up(database, queue).await {
                tracing::debug!(%error, "what waits could not be looked up; trying again later");
                self.unfinished.clear();
                self.oldest.clear();
                self.dead.clear();
                self.queued.clear();
                self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            tokio::time::sleep(LOOKED_UP).await;
        }
    }

    async fn look_up(&self, database: &Database, queue: &Queue) -> Result<(), StoreError> {
        let depths = depths(database).await?;
        let mut lengths = Vec::with_capacity(depths.len());
        for depth in &depths {
            lengths.extend(queue.lengths(&depth.queue, &[depth.kind.as_str()]).await?);
        }
        let mut gone = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        let mut seen = gone.clone();
        for (depth, length) in depths.into_iter().zip(lengths) {
            let labels = QueueLabels { queue: depth.queue, kind: depth.kind };
            self.unfinished.get_or_create(&labels).set(depth.unfinished);
            self.oldest.get_or_create(&labels).set(depth.oldest_seconds);
            self.dead.get_or_create(&labels).set(depth.dead);
            self.queued.get_or_create(&labels).set(length);
            gone.remove(&labels);
            seen.insert(labels);
        }
        // Of these nothing waits any more.
        for labels in &gone {
            self.unfinished.get_or_create(labels).set(0);
            self.oldest.get_or_create(labels).set(0.0);
            self.dead.get_or_create(labels).set(0);
            self.queued.get_or_create(labels).set(0);
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }
}
