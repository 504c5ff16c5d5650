//! Moves due jobs from PostgreSQL into the queue. Any number of processes may do so at once.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::store::{self, StoreError};
use super::{Queue, worker::Shared};

/// So many jobs of a kind may be in the queue; the rest waits in PostgreSQL, and Valkey's memory is bounded.
const CAPACITY: i64 = 1000;
/// So many of a kind by one statement.
const BATCH: i64 = 200;
/// After it was told of a job it waits this long for others: many writes at once then cost one round.
const GATHER: Duration = Duration::from_millis(25);

/// Feeds until dropped: when told, when the process was told by another, and every so often.
pub(super) async fn feed(shared: &Shared) {
    let kinds: Vec<&str> = shared.registry.kinds().map(|(kind, _)| kind).collect();
    loop {
        match feed_once(shared, &kinds).await {
            // There is more.
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "jobs could not be fed to the queue; trying again");
                tokio::time::sleep(shared.settings.poll).await;
            }
        }
        let told = shared.queue.written.notified();
        if tokio::time::timeout(shared.settings.poll, told).await.is_ok() {
            tokio::time::sleep(GATHER).await;
        }
    }
}

/// One round; true when a kind filled its batch.
async fn feed_once(shared: &Shared, kinds: &[&str]) -> Result<bool, StoreError> {
    let queue = &shared.queue;
    let name = shared.settings.queue.as_str();
    // Asking first how much room there is, also means that no row is marked while Valkey does not answer.
    let rooms: Vec<i64> = queue
        .lengths(name, kinds)
        .await?
        .into_iter()
        .map(|length| (CAPACITY - length).clamp(0, BATCH))
        .collect();
    let due = store::feed(&shared.database, name, kinds, &rooms, shared.settings.feed_again).await?;
    if due.is_empty() {
        return Ok(false);
    }
    let mut by_kind: BTreeMap<&str, Vec<(Uuid, i64)>> = BTreeMap::new();
    for job in &due {
        by_kind.entry(&job.kind).or_default().push((job.id, job.due));
    }
    let more = by_kind.values().any(|jobs| jobs.len() as i64 >= BATCH);
    add(queue, name, &by_kind).await?;
    queue.fed.notify_one();
    if let Err(error) = queue.publish(super::queue::FED).await {
        tracing::debug!(%error, "other workers were not told of jobs; they look for them themselves");
    }
    Ok(more)
}

async fn add(
    queue: &Queue,
    name: &str,
    by_kind: &BTreeMap<&str, Vec<(Uuid, i64)>>,
) -> Result<(), StoreError> {
    for (kind, jobs) in by_kind {
        queue.add(name, kind, jobs).await?;
    }
    Ok(())
}

/// Hears what other processes publish, and connects again after the connection broke.
pub(super) async fn listen(queue: &Queue, pause: Duration) {
    loop {
        if let Err(error) = queue.listen().await {
            tracing::debug!(%error, "the signals of other processes are not heard; looking every so often instead");
        }
        tokio::time::sleep(pause).await;
    }
}
