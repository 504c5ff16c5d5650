//! The rows of jobs: each change is one statement, and what it depends on is in its condition.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::feeder::Crowd;
use crate::database::{Database, DatabaseError};
use crate::valkey::ValkeyError;

/// Marks due jobs as fed until a while from now. Rows that another feeder has in hand are passed over. Those of a kind and
/// organization of which a crowd is in the queue are put off instead, so that others do not stand behind them.
const FEED: &str = "\
    WITH due AS MATERIALIZED (\
        SELECT job.id FROM unnest($2::text[], $3::bigint[]) AS room (kind, free) \
        CROSS JOIN LATERAL (\
            SELECT id FROM jobs WHERE queue = $1 AND jobs.kind = room.kind AND feed_at <= now() \
            ORDER BY feed_at LIMIT room.free FOR UPDATE SKIP LOCKED) AS job) \
    UPDATE jobs SET feed_at = now() + CASE \
        WHEN (kind, organization_id) IN (SELECT * FROM unnest($5::text[], $6::uuid[])) \
        THEN make_interval(secs => $7) ELSE make_interval(secs => $4) END \
    FROM due WHERE jobs.id = due.id \
    RETURNING jobs.id, kind, organization_id, (extract(epoch FROM run_at) * 1000)::bigint";

/// Makes jobs due to be fed that were put off. Those that were fed are to be fed again sooner than that.
const RECALL: &str = "\
    WITH away AS MATERIALIZED (\
        SELECT id FROM jobs WHERE queue = $1 AND kind = $2 AND organization_id = $3 AND run_at <= now() \
          AND (lease_until IS NULL OR lease_until <= now()) AND feed_at > now() + make_interval(secs => $4) \
        ORDER BY feed_at LIMIT $5 FOR UPDATE SKIP LOCKED) \
    UPDATE jobs SET feed_at = now() FROM away WHERE jobs.id = away.id";

/// Claims those of the jobs that are due and that nobody works on.
const CLAIM: &str = "\
    UPDATE jobs SET lease = $2, lease_until = now() + make_interval(secs => $3), \
                    feed_at = now() + make_interval(secs => $3), attempts = attempts + 1 \
    WHERE id = ANY($1) AND feed_at IS NOT NULL AND run_at <= now() \
      AND (lease_until IS NULL OR lease_until <= now()) \
    RETURNING id, organization_id, payload, attempts, max_attempts, request_id, traceparent";

const RENEW: &str = "\
    UPDATE jobs SET lease_until = now() + make_interval(secs => $3), feed_at = now() + make_interval(secs => $3) \
    FROM unnest($1::uuid[], $2::uuid[]) AS held (id, lease) \
    WHERE jobs.id = held.id AND jobs.lease = held.lease RETURNING jobs.id";

const FINISH: &str = "\
    UPDATE jobs SET finished_at = now(), feed_at = NULL, lease = NULL, lease_until = NULL \
    FROM unnest($1::uuid[], $2::uuid[]) AS held (id, lease) \
    WHERE jobs.id = held.id AND jobs.lease = held.lease RETURNING jobs.id";

const RETRY: &str = "\
    UPDATE jobs SET run_at = now() + make_interval(secs => $3), feed_at = now() + make_interval(secs => $3), \
                    lease = NULL, lease_until = NULL, last_error = $4 \
    WHERE id = $1 AND lease = $2";

const BURY: &str = "\
    UPDATE jobs SET dead_at = now(), feed_at = NULL, lease = NULL, lease_until = NULL, \
                    attempts = least(attempts, max_attempts), last_error = coalesce($3, last_error) \
    WHERE id = $1 AND lease = $2";

/// An attempt that was cut short by an orderly stop does not count.
const RELEASE: &str = "\
    UPDATE jobs SET feed_at = now(), lease = NULL, lease_until = NULL, attempts = attempts - 1 \
    FROM unnest($1::uuid[], $2::uuid[]) AS held (id, lease) \
    WHERE jobs.id = held.id AND jobs.lease = held.lease";

const PRUNE: &str = "\
    DELETE FROM jobs WHERE id IN (\
        SELECT id FROM jobs WHERE finished_at < now() - make_interval(secs => $1) \
        ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)";
/// So many by one statement.
pub(super) const PRUNED_AT_ONCE: u64 = 1000;

/// Why a job could not be moved on.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Valkey(#[from] ValkeyError),
}

/// A job to be put into the queue.
pub(super) struct Due {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) organization_id: Option<Uuid>,
    /// Milliseconds since 1970.
    pub(super) due: i64,
}

/// A job that this process has.
pub(super) struct Claimed {
    pub(super) id: Uuid,
    pub(super) organization_id: Option<Uuid>,
    pub(super) payload: Value,
    pub(super) attempts: i32,
    pub(super) max_attempts: i32,
    pub(super) request_id: Option<String>,
    pub(super) traceparent: Option<String>,
}

/// What becomes of a job after an attempt that failed.
#[derive(Debug, Clone)]
pub(super) enum Failed {
    Retried(Duration, String),
    Buried(Option<String>),
}

pub(super) async fn feed(
    database: &Database,
    queue: &str,
    kinds: &[&str],
    rooms: &[i64],
    feed_again: Duration,
    (crowds, put_off): (&[Crowd], Duration),
) -> Result<Vec<Due>, DatabaseError> {
    let (seconds, put_off) = (feed_again.as_secs_f64(), put_off.as_secs_f64());
    let (crowded, organizations): (Vec<&str>, Vec<Uuid>) = crowds.iter().copied().unzip();
    database
        .ask(async |client| {
            let statement = client.prepare_cached(FEED).await?;
            let values: [&(dyn ToSql + Sync); 7] =
                [&queue, &kinds, &rooms, &seconds, &crowded, &organizations, &put_off];
            let rows = client.query(&statement, &values).await?;
            let due = rows.iter().map(|row| Due {
                id: row.get(0),
                kind: row.get(1),
                organization_id: row.get(2),
                due: row.get(3),
            });
            Ok(due.collect())
        })
        .await
}

/// Recalls up to `most` jobs of a kind and organization that were put off; says how many that were.
pub(super) async fn recall(
    database: &Database,
    queue: &str,
    (kind, organization): Crowd,
    feed_again: Duration,
    most: i64,
) -> Result<u64, DatabaseError> {
    let seconds = feed_again.as_secs_f64();
    database
        .ask(async |client| {
            let statement = client.prepare_cached(RECALL).await?;
            client.execute(&statement, &[&queue, &kind, &organization, &seconds, &most]).await
        })
        .await
}

pub(super) async fn claim(
    database: &Database,
    ids: &[Uuid],
    lease: Uuid,
    length: Duration,
) -> Result<Vec<Claimed>, DatabaseError> {
    let seconds = length.as_secs_f64();
    database
        .ask(async |client| {
            let statement = client.prepare_cached(CLAIM).await?;
            let rows = client.query(&statement, &[&ids, &lease, &seconds]).await?;
            let claimed = rows.iter().map(|row| Claimed {
                id: row.get(0),
                organization_id: row.get(1),
                payload: row.get(2),
                attempts: row.get(3),
                max_attempts: row.get(4),
                request_id: row.get(5),
                traceparent: row.get(6),
            });
            Ok(claimed.collect())
        })
        .await
}

/// Records jobs as finished, and returns those whose leases were still ours.
pub(super) async fn finish(database: &Database, held: &[(Uuid, Uuid)]) -> Result<Vec<Uuid>, DatabaseError> {
    let (ids, leases): (Vec<Uuid>, Vec<Uuid>) = held.iter().copied().unzip();
    database
        .ask(async |client| {
            let statement = client.prepare_cached(FINISH).await?;
            let rows = client.query(&statement, &[&ids, &leases]).await?;
            Ok(rows.iter().map(|row| row.get(0)).collect())
        })
        .await
}

/// Renews leases and returns the jobs that are still ours.
pub(super) async fn renew(
    database: &Database,
    held: &[(Uuid, Uuid)],
    length: Duration,
) -> Result<Vec<Uuid>, DatabaseError> {
    let (ids, leases): (Vec<Uuid>, Vec<Uuid>) = held.iter().copied().unzip();
    let seconds = length.as_secs_f64();
    database
        .ask(async |client| {
            let statement = client.prepare_cached(RENEW).await?;
            let rows = client.query(&statement, &[&ids, &leases, &seconds]).await?;
            Ok(rows.iter().map(|row| row.get(0)).collect())
        })
        .await
}

/// Records a failure; false when the lease was lost and somebody else decides.
pub(super) async fn record(
    database: &Database,
    id: Uuid,
    lease: Uuid,
    failed: &Failed,
) -> Result<bool, DatabaseError> {
    database
        .ask(async |client| {
            let changed = match failed {
                Failed::Retried(wait, reason) => {
                    let statement = client.prepare_cached(RETRY).await?;
                    client.execute(&statement, &[&id, &lease, &wait.as_secs_f64(), reason]).await?
                }
                Failed::Buried(reason) => {
                    let statement = client.prepare_cached(BURY).await?;
                    client.execute(&statement, &[&id, &lease, reason]).await?
                }
            };
            Ok(changed == 1)
        })
        .await
}

pub(super) async fn release(database: &Database, held: &[(Uuid, Uuid)]) -> Result<u64, DatabaseError> {
    let (ids, leases): (Vec<Uuid>, Vec<Uuid>) = held.iter().copied().unzip();
    database
        .ask(async |client| {
            let statement = client.prepare_cached(RELEASE).await?;
            client.execute(&statement, &[&ids, &leases]).await
        })
        .await
}

/// Removes some jobs that finished longer ago than `kept`.
pub(super) async fn prune(database: &Database, kept: Duration) -> Result<u64, DatabaseError> {
    database
        .ask(async |client| {
            let statement = client.prepare_cached(PRUNE).await?;
            let most = PRUNED_AT_ONCE.cast_signed();
            client.execute(&statement, &[&kept.as_secs_f64(), &most]).await
        })
        .await
}
