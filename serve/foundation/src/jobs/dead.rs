//! Jobs that were given up: a person looks at them, and lets them run again or removes them.

use deadpool_postgres::GenericClient;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

const LIST: &str = "\
    SELECT id, queue, kind, organization_id, payload, attempts, request_id, created_at, dead_at, last_error \
    FROM jobs WHERE dead_at IS NOT NULL AND ($1::text IS NULL OR kind = $1) \
      AND ($2::timestamptz IS NULL OR (dead_at, id) < ($2, $3)) \
    ORDER BY dead_at DESC, id DESC LIMIT $4";

/// Not while another job has its unique key: that one does the same work.
const REPLAY: &str = "\
    UPDATE jobs SET dead_at = NULL, attempts = 0, run_at = now(), feed_at = now() \
    WHERE id = $1 AND dead_at IS NOT NULL AND NOT EXISTS (\
        SELECT FROM jobs AS other \
        WHERE other.kind = jobs.kind AND other.unique_key = jobs.unique_key AND other.feed_at IS NOT NULL)";

const DISCARD: &str = "DELETE FROM jobs WHERE id = $1 AND dead_at IS NOT NULL RETURNING kind, last_error";

/// A job that was given up.
#[derive(Debug, Clone, Serialize)]
pub struct DeadJob {
    /// Its identifier.
    pub id: Uuid,
    /// Whose workers ran it.
    pub queue: String,
    /// Which handler ran it.
    pub kind: String,
    /// For whom, if for an organization.
    pub organization_id: Option<Uuid>,
    /// What it carries.
    pub payload: Value,
    /// How often it was tried.
    pub attempts: i32,
    /// The request that it follows from.
    pub request_id: Option<String>,
    /// When it was written.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was given up.
    #[serde(with = "time::serde::rfc3339")]
    pub dead_at: OffsetDateTime,
    /// Why its last attempt failed.
    pub last_error: Option<String>,
}

/// Lists dead jobs, the latest first: of one kind or of all, and after the last one of the page before.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub async fn list_dead(
    client: &impl GenericClient,
    kind: Option<&str>,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<DeadJob>, tokio_postgres::Error> {
    let statement = client.prepare_cached(LIST).await?;
    let (at, id) = after.unzip();
    let rows = client.query(&statement, &[&kind, &at, &id, &limit]).await?;
    let dead = rows.iter().map(|row| DeadJob {
        id: row.get(0),
        queue: row.get(1),
        kind: row.get(2),
        organization_id: row.get(3),
        payload: row.get(4),
        attempts: row.get(5),
        request_id: row.get(6),
        created_at: row.get(7),
        dead_at: row.get(8),
        last_error: row.get(9),
    });
    Ok(dead.collect())
}

/// Lets a dead job run again with all its attempts. False when it is not dead, or another job has its unique key.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub async fn replay(client: &impl GenericClient, id: Uuid) -> Result<bool, tokio_postgres::Error> {
    let statement = client.prepare_cached(REPLAY).await?;
    Ok(client.execute(&statement, &[&id]).await? == 1)
}

/// A job that is no more.
#[derive(Debug, Clone)]
pub struct Discarded {
    /// Which handler ran it.
    pub kind: String,
    /// Why its last attempt failed.
    pub last_error: Option<String>,
}

/// Removes a dead job: what it was to do is not done. Nothing when it is not dead.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub async fn discard(
    client: &impl GenericClient,
    id: Uuid,
) -> Result<Option<Discarded>, tokio_postgres::Error> {
    let statement = client.prepare_cached(DISCARD).await?;
    let row = client.query_opt(&statement, &[&id]).await?;
    Ok(row.map(|row| Discarded { kind: row.get(0), last_error: row.get(1) }))
}
