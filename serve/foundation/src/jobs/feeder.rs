//! Moves due jobs from PostgreSQL into the queue. Any number of processes may do so at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use super::store::{self, Due, StoreError};
use super::{Backoff, Queue, worker::Shared};

/// So many jobs of a kind may be in the queue; the rest waits in PostgreSQL, and Valkey's memory is bounded.
const CAPACITY: i64 = 1000;
/// So many of a kind by one statement.
const BATCH: i64 = 200;
/// After it was told of a job it waits this long for others: many writes at once then cost one round.
const GATHER: Duration = Duration::from_millis(25);

/// An organization of which so many jobs of a kind are in the queue has enough there, where a policy gives it a share. Also
/// with the batch that made it so many that is less than a third: three such leave room for others.
const CROWD: usize = 100;
/// What such an organization has beyond is put off for about as long, unless it is recalled before.
const PUT_OFF: Backoff = Backoff::Steps(&[Duration::from_secs(300)]);

/// A kind and an organization, of which there is a crowd in the queue or was.
pub(super) type Crowd = (&'static str, Uuid);

/// Feeds until dropped: when told, when the process was told by another, and every so often.
pub(super) async fn feed(shared: &Shared) {
    let kinds: Vec<&str> = shared.registry.kinds().map(|(kind, _)| kind).collect();
    let mut away = BTreeSet::new();
    loop {
        match feed_once(shared, &kinds, &mut away).await {
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

/// One round; true when a kind filled its batch, or jobs were put off that others may stand behind. `away` are those of which
/// jobs may be put off, by any process, and not recalled yet.
async fn feed_once(shared: &Shared, kinds: &[&str], away: &mut BTreeSet<Crowd>) -> Result<bool, StoreError> {
    let (database, queue, name) = (&shared.database, &shared.queue, shared.settings.queue.as_str());
    let feed_again = shared.settings.feed_again;
    // Asking first how much room there is, also means that no row is marked while Valkey does not answer.
    let lengths = queue.lengths(name, kinds).await?;
    let rooms: Vec<i64> = lengths.iter().map(|length| (CAPACITY - length).clamp(0, BATCH)).collect();
    let crowds = crowds(shared, &lengths).await?;
    away.extend(&crowds);
    let back: Vec<Crowd> = away.iter().copied().filter(|crowd| !crowds.contains(crowd)).collect();
    for crowd in back {
        if store::recall(database, name, crowd, feed_again, BATCH).await? < BATCH.cast_unsigned() {
            away.remove(&crowd);
        }
    }
    let put_off = PUT_OFF.wait(1, &*shared.randomness);
    let due = store::feed(database, name, kinds, &rooms, feed_again, (&crowds, put_off)).await?;
    let mut more = false;
    let mut by_kind: BTreeMap<&str, Vec<&Due>> = BTreeMap::new();
    for job in &due {
        let in_crowd = |(kind, id): &Crowd| *kind == job.kind && Some(*id) == job.organization_id;
        if crowds.iter().any(in_crowd) {
            more = true;
        } else {
            by_kind.entry(&job.kind).or_default().push(job);
        }
    }
    if !by_kind.is_empty() {
        more |= by_kind.values().any(|jobs| jobs.len() as i64 >= BATCH);
        add(queue, name, &by_kind).await?;
        queue.fed.notify_one();
        if let Err(error) = queue.publish(super::queue::FED).await {
            tracing::debug!(%error, "other workers were not told of jobs; they look for them themselves");
        }
    }
    Ok(more)
}

/// What there is a crowd of, where organizations have shares.
async fn crowds(shared: &Shared, lengths: &[i64]) -> Result<Vec<Crowd>, StoreError> {
    let mut crowds = Vec::new();
    for ((kind, entry), length) in shared.registry.kinds().zip(lengths) {
        if entry.policy.share.is_some() && *length >= CROWD as i64 {
            let organizations = shared.queue.crowds(&shared.settings.queue, kind, CROWD).await?;
            crowds.extend(organizations.into_iter().map(|id| (kind, id)));
        }
    }
    Ok(crowds)
}

async fn add(queue: &Queue, name: &str, by_kind: &BTreeMap<&str, Vec<&Due>>) -> Result<(), StoreError> {
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
