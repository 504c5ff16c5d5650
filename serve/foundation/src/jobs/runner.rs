//! Takes jobs from the queue, claims them, runs them and records what became of them.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use uuid::Uuid;

use super::handler::Entry;
use super::slots::{Slot, Slots};
use super::store::{self, Claimed, Failed, StoreError};
use super::worker::Shared;
use super::{Failure, Job};
use crate::clock::new_id;
use crate::request::{self, RequestContext};

/// Bytes of an error that are kept.
const REASON_LIMIT: usize = 2000;
/// Pause between attempts to record an outcome.
const RECORD_PAUSE: Duration = Duration::from_millis(200);

/// The jobs that run, by id: their lease, and how to end them.
#[derive(Default)]
struct Held(Mutex<HashMap<Uuid, (Uuid, AbortHandle)>>);

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, (Uuid, AbortHandle)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> Vec<(Uuid, Uuid)> {
        self.lock().iter().map(|(id, (lease, _))| (*id, *lease)).collect()
    }
}

/// One kind: its handler, and how many more may run.
struct Lane {
    kind: &'static str,
    entry: Entry,
    slots: Arc<Slots>,
}

/// Runs jobs until `stop` completes, and then ends in order.
pub(super) async fn run(shared: &Arc<Shared>, stop: impl Future<Output = ()>) {
    let mut tasks = JoinSet::new();
    let held = Arc::new(Held::default());
    tokio::select! {
        () = stop => {}
        () = take_all(shared, &mut tasks, &held) => {}
        () = renew(shared, &held) => {}
    }
    let finishing = async { while tasks.join_next().await.is_some() {} };
    tokio::select! {
        ended = tokio::time::timeout(shared.settings.drain, finishing) => {
            if ended.is_ok() { return }
        }
        () = renew(shared, &held) => {}
    }
    tasks.shutdown().await;
    let left = held.leases();
    if let Err(error) = store::release(&shared.database, &left).await {
        tracing::warn!(%error, jobs = left.len(), "jobs could not be given back; they run again when their leases end");
    }
}

async fn take_all(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, held: &Arc<Held>) {
    let lanes: Vec<Lane> = shared
        .registry
        .kinds()
        .map(|(kind, entry)| Lane { kind, entry: entry.clone(), slots: Arc::new(Slots::new(entry.policy)) })
        .collect();
    let freed = Arc::new(Notify::new());
    loop {
        let mut took = false;
        for lane in &lanes {
            match take(shared, lane, tasks, held, &freed).await {
                Ok(any) => took |= any,
                Err(error) => {
                    tracing::warn!(%error, kind = lane.kind, "jobs could not be taken; trying again");
                    tokio::time::sleep(shared.settings.poll).await;
                }
            }
        }
        while tasks.try_join_next().is_some() {}
        if !took {
            tokio::select! {
                () = shared.queue.fed.notified() => {}
                () = freed.notified() => {}
                () = tokio::time::sleep(shared.settings.poll) => {}
            }
        }
    }
}

/// Takes as many jobs of a kind as may run, and starts them. False when there is none.
async fn take(
    shared: &Arc<Shared>,
    lane: &Lane,
    tasks: &mut JoinSet<()>,
    held: &Arc<Held>,
    freed: &Arc<Notify>,
) -> Result<bool, StoreError> {
    let free = lane.slots.free();
    if free == 0 {
        return Ok(false);
    }
    let ids = shared.queue.take(&shared.settings.queue, lane.kind, free, lane.slots.shares()).await?;
    if ids.is_empty() {
        return Ok(false);
    }
    let lease = new_id(&*shared.clock, &*shared.randomness);
    let claimed = store::claim(&shared.database, &ids, lease, shared.settings.lease).await?;
    for job in claimed {
        // There are as many as were free, and only this task takes them.
        let slot = lane.slots.take(job.organization_id);
        let id = job.id;
        let mut jobs = held.lock();
        let attempt = Attempt {
            shared: Arc::clone(shared),
            held: Arc::clone(held),
            kind: lane.kind,
            entry: lane.entry.clone(),
            lease,
            freed: Arc::clone(freed),
            slot,
        };
        let task = tasks.spawn(attempt.run(job));
        jobs.insert(id, (lease, task));
    }
    Ok(true)
}

/// Renews the leases of what runs until dropped. A job whose lease was lost is ended: somebody else has it.
async fn renew(shared: &Shared, held: &Held) {
    loop {
        tokio::time::sleep(shared.settings.lease / 3).await;
        let leases = held.leases();
        if leases.is_empty() {
            continue;
        }
        let alone = shared.finishing.alone().await;
        let renewed = store::renew(&shared.database, &leases, shared.settings.lease).await;
        drop(alone);
        match renewed {
            Ok(kept) => {
                let mut jobs = held.lock();
                for (id, lease) in leases.iter().filter(|(id, _)| !kept.contains(id)) {
                    // What ended in the meantime is not there any more.
                    if jobs.get(id).is_some_and(|(now, _)| now == lease)
                        && let Some((_, task)) = jobs.remove(id)
                    {
                        tracing::warn!(job = %id, "a job's lease was lost; its attempt here ends");
                        task.abort();
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "leases could not be renewed; trying again"),
        }
    }
}

/// One attempt at one job.
struct Attempt {
    shared: Arc<Shared>,
    held: Arc<Held>,
    kind: &'static str,
    entry: Entry,
    lease: Uuid,
    freed: Arc<Notify>,
    slot: Slot,
}

impl Attempt {
    async fn run(self, job: Claimed) {
        let (id, request_id) = (job.id, job.request_id.clone());
        let attempt = u32::try_from(job.attempts).unwrap_or(u32::MAX);
        let started = tokio::time::Instant::now();
        let context = RequestContext::following(
            job.request_id.as_deref(),
            job.traceparent.as_deref(),
            &*self.shared.clock,
            &*self.shared.randomness,
        );
        let outcome = request::within(context, self.outcome(job)).await;
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (result, reason) = match &outcome {
            Ok(()) => ("finished", None),
            Err(Failed::Retried(_, reason)) => ("retried", Some(reason.as_str())),
            Err(Failed::Buried(reason)) => ("dead", reason.as_deref()),
        };
        tracing::info!(action = "job", kind = self.kind, job = %id, attempt, request_id, result, reason, milliseconds);
        self.shared.metrics.ran(self.kind);
        if outcome.is_err() {
            self.shared.metrics.failed(self.kind);
        }
        if matches!(outcome, Err(Failed::Buried(_))) {
            self.shared.metrics.buried(self.kind);
        }
        self.record(id, &outcome).await;
        let mut jobs = self.held.lock();
        if jobs.get(&id).is_some_and(|(lease, _)| *lease == self.lease) {
            jobs.remove(&id);
        }
        drop(jobs);
        drop(self.slot);
        self.freed.notify_one();
    }

    async fn outcome(&self, job: Claimed) -> Result<(), Failed> {
        if job.attempts > job.max_attempts {
            // Each attempt ended with its worker, and took what else ran there with it.
            return Err(Failed::Buried(Some(
                "no attempt came to an end: the worker died or lost its lease".to_owned(),
            )));
        }
        let policy = self.entry.policy;
        let job = Job {
            id: job.id,
            organization_id: job.organization_id,
            attempt: u32::try_from(job.attempts).unwrap_or(1),
            max_attempts: u32::try_from(job.max_attempts).unwrap_or(1),
            request_id: job.request_id,
            traceparent: job.traceparent,
            payload: job.payload,
        };
        let (attempt, last) = (job.attempt, job.is_last());
        let running = AssertUnwindSafe((self.entry.run)(job)).catch_unwind();
        let failure = match tokio::time::timeout(policy.limit, running).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(failure))) => failure,
            Ok(Err(_)) => Failure::Again("the handler panicked".to_owned()),
            Err(_) => Failure::Again(format!("no end within {} s", policy.limit.as_secs_f64())),
        };
        let reason = short(failure.reason());
        Err(match failure {
            Failure::Never(_) => Failed::Buried(Some(reason)),
            _ if last => Failed::Buried(Some(reason)),
            Failure::After(wait, _) => Failed::Retried(wait, reason),
            Failure::Again(_) => {
                Failed::Retried(policy.backoff.wait(attempt, &*self.shared.randomness), reason)
            }
        })
    }

    /// Records the outcome, for as long as the lease lasts: what is not recorded runs again.
    async fn record(&self, id: Uuid, outcome: &Result<(), Failed>) {
        let (database, lease) = (&self.shared.database, self.lease);
        let until = tokio::time::Instant::now() + self.shared.settings.lease;
        loop {
            let recorded = match outcome {
                Ok(()) => self.shared.finishing.record(database, id, lease).await,
                Err(failed) => store::record(database, id, lease, failed).await.map(Some),
            };
            match recorded {
                Ok(Some(true)) => return,
                Ok(None) => {}
                Ok(Some(false)) => {
                    tracing::warn!(job = %id, "a job's lease was lost before its outcome was recorded; it may run twice");
                    return;
                }
                Err(error) if tokio::time::Instant::now() < until => {
                    tracing::debug!(%error, job = %id, "an outcome could not be recorded; trying again");
                    tokio::time::sleep(RECORD_PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(%error, job = %id, "an outcome could not be recorded; the job runs again");
                    return;
                }
            }
        }
    }
}

/// PostgreSQL takes no NUL in a text, and nobody reads a long one.
fn short(reason: &str) -> String {
    let end = reason.floor_char_boundary(REASON_LIMIT);
    reason[..end].replace('\0', "\u{fffd}")
}
