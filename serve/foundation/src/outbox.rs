//! The outbox: a job written in the transaction of the effect that it follows from, so that both happen or neither.
//!
//! After the commit, [`crate::jobs::Queue::wake`] tells the workers. That may be lost: they look by themselves as well.

use deadpool_postgres::GenericClient;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::clock::{Clock, Randomness, new_id};
use crate::request;
use crate::write::transaction::Parameter;

/// The tables of jobs and schedules.
pub const MIGRATION: &str = include_str!("../migrations/jobs.sql");

/// An index that they have since.
pub const BY_ORGANIZATION: &str = include_str!("../migrations/jobs_by_organization.sql");

/// The queue of jobs that name none.
pub const DEFAULT_QUEUE: &str = "default";

/// Attempts of a job that says nothing else.
const MAX_ATTEMPTS: i32 = 10;

/// Writes one job, with [`NewJob::parameters`]. Answers with its id, or with no row when an unfinished job of the same
/// kind has the same unique key. One statement that depends on no other: pipeline it with the rest of a transaction.
pub const INSERT: &str = "\
    INSERT INTO jobs (id, queue, kind, organization_id, payload, unique_key, run_at, feed_at, max_attempts, \
                      request_id, traceparent) \
    VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, now()), coalesce($7, now()), $8, $9, $10) \
    ON CONFLICT (kind, unique_key) WHERE feed_at IS NOT NULL DO NOTHING \
    RETURNING id";

/// A job to be written.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its identifier.
    pub id: Uuid,
    /// Whose workers run it.
    pub queue: String,
    /// Which handler runs it.
    pub kind: String,
    /// For whom, if for an organization.
    pub organization_id: Option<Uuid>,
    /// What the handler is given.
    pub payload: Value,
    /// At most one unfinished job of this kind may have it.
    pub unique_key: Option<String>,
    /// Not before; without it, at once.
    pub run_at: Option<OffsetDateTime>,
    /// How often it is tried before it counts as dead.
    pub max_attempts: i32,
    /// The request that it follows from.
    pub request_id: Option<String>,
    /// W3C trace context of that request.
    pub traceparent: Option<String>,
}

impl NewJob {
    /// A job of this kind, which follows from the request that the task works for.
    ///
    /// # Errors
    /// When the payload cannot be expressed in JSON.
    pub fn new(
        kind: &str,
        payload: &impl Serialize,
        clock: &dyn Clock,
        randomness: &dyn Randomness,
    ) -> Result<Self, serde_json::Error> {
        let cause =
            request::current().map(|context| (context.request_id.to_string(), context.trace.traceparent()));
        let (request_id, traceparent) = cause.unzip();
        Ok(Self {
            id: new_id(clock, randomness),
            queue: DEFAULT_QUEUE.to_owned(),
            kind: kind.to_owned(),
            organization_id: None,
            payload: serde_json::to_value(payload)?,
            unique_key: None,
            run_at: None,
            max_attempts: MAX_ATTEMPTS,
            request_id,
            traceparent,
        })
    }

    /// For an organization.
    #[must_use]
    pub fn organization(mut self, id: Uuid) -> Self {
        self.organization_id = Some(id);
        self
    }

    /// At most one unfinished job of this kind has this key.
    #[must_use]
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// Not before.
    #[must_use]
    pub fn at(mut self, time: OffsetDateTime) -> Self {
        self.run_at = Some(time);
        self
    }

    /// How often it is tried.
    #[must_use]
    pub fn attempts(mut self, max: i32) -> Self {
        self.max_attempts = max;
        self
    }

    /// The request that it follows from.
    #[must_use]
    pub fn caused_by(mut self, request_id: Option<String>, traceparent: Option<String>) -> Self {
        self.request_id = request_id;
        self.traceparent = traceparent;
        self
    }

    /// The parameters of [`INSERT`], for a statement that is sent later.
    #[must_use]
    pub fn into_parameters(self) -> Vec<Parameter> {
        vec![
            Box::new(self.id),
            Box::new(self.queue),
            Box::new(self.kind),
            Box::new(self.organization_id),
            Box::new(self.payload),
            Box::new(self.unique_key),
            Box::new(self.run_at),
            Box::new(self.max_attempts),
            Box::new(self.request_id),
            Box::new(self.traceparent),
        ]
    }

    /// The parameters of [`INSERT`].
    #[must_use]
    pub fn parameters(&self) -> [&(dyn ToSql + Sync); 10] {
        [
            &self.id,
            &self.queue,
            &self.kind,
            &self.organization_id,
            &self.payload,
            &self.unique_key,
            &self.run_at,
            &self.max_attempts,
            &self.request_id,
            &self.traceparent,
        ]
    }
}

/// Writes a job with what else `client` writes. Nothing is returned when an unfinished job has the same unique key.
///
/// # Errors
/// When PostgreSQL cannot be asked or refuses the row.
pub async fn enqueue(
    client: &impl GenericClient,
    job: &NewJob,
) -> Result<Option<Uuid>, tokio_postgres::Error> {
    let statement = client.prepare_cached(INSERT).await?;
    Ok(client.query_opt(&statement, &job.parameters()).await?.map(|row| row.get(0)))
}
