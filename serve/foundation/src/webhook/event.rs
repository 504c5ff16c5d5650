//! Events: written with their effect as one job, which finds the endpoints that want them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::deliver::ATTEMPTS;
use crate::clock::{Clock, Randomness, new_id};
use crate::database::Database;
use crate::jobs::{Failure, Handler, Job, Policy, Queue};
use crate::outbox::NewJob;
use crate::write::transaction::Transaction;

/// The standard asks for less than 20 kB.
const PAYLOAD_LIMIT: usize = 20_000;
/// Events whose endpoints are looked for at the same time. Each is a moment's work, and more would make requests wait for
/// connections.
const AT_ONCE: usize = 2;

const MESSAGE: &str = "\
    INSERT INTO webhook_messages (id, organization_id, type, payload) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
/// Of each endpoint it is asked whether its organization is there: mostly there is none, and it is not asked.
const ENDPOINTS: &str = "\
    SELECT id FROM webhook_endpoints \
    WHERE organization_id = $1 AND disabled_at IS NULL AND (events = '{}' OR $2 = ANY (events)) \
      AND organization_is_active(organization_id)";
/// A delivery and its job for each endpoint that has none of this message yet. Its first job has its identifier.
const DELIVERIES: &str = "\
    WITH made AS (\
        INSERT INTO webhook_deliveries (id, organization_id, endpoint_id, message_id, job_id) \
        SELECT wanted.id, $1, wanted.endpoint_id, $2, wanted.id FROM unnest($3::uuid[], $4::uuid[]) AS wanted (id, endpoint_id) \
        ON CONFLICT (message_id, endpoint_id) DO NOTHING RETURNING id) \
    INSERT INTO jobs (id, queue, kind, organization_id, payload, run_at, feed_at, max_attempts, request_id, \
                      traceparent) \
    SELECT id, 'default', 'webhook.deliver', $1, jsonb_build_object('delivery', id), now(), now(), $5, $6, $7 \
    FROM made";

/// An endpoint of the organization was disabled, because it is gone or has failed for long.
pub const DISABLED: &str = "webhook.disabled";
/// Somebody asked whether an endpoint works.
pub const TEST: &str = "webhook.test";

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Its type: words with dots between.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    pub timestamp: OffsetDateTime,
    /// What there is to know.
    pub data: Value,
}

/// Why an event cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// It is too long.
    #[error("an event of {0} bytes is too long for a webhook; say less than 20 kB and let the receiver ask")]
    TooLong(usize),
    /// It is no JSON.
    #[error("an event cannot be written as JSON: {0}")]
    NotJson(#[from] serde_json::Error),
}

impl Event {
    /// The job that tells an organization's endpoints, to be written with the effect.
    ///
    /// # Errors
    /// [`EventError`].
    pub fn job(
        &self,
        organization_id: Uuid,
        clock: &dyn Clock,
        randomness: &dyn Randomness,
    ) -> Result<NewJob, EventError> {
        self.payload()?;
        Ok(NewJob::new(Dispatch::KIND, self, clock, randomness)?.organization(organization_id))
    }

    /// The very bytes that are signed, as text.
    pub(super) fn payload(&self) -> Result<String, EventError> {
        let payload = serde_json::to_string(self)?;
        if payload.len() >= PAYLOAD_LIMIT {
            return Err(EventError::TooLong(payload.len()));
        }
        Ok(payload)
    }
}

/// Finds who wants an event.
#[derive(Debug)]
pub struct Dispatch {
    database: Database,
    queue: Queue,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    turns: Semaphore,
}

impl Dispatch {
    /// Looks for endpoints in `database`, and tells `queue` of deliveries.
    #[must_use]
    pub fn new(
        database: Database,
        queue: Queue,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        Self { database, queue, clock, randomness, turns: Semaphore::new(AT_ONCE) }
    }
}

impl Handler for Dispatch {
    const KIND: &'static str = "webhook.dispatch";
    type Payload = Event;

    fn policy(&self) -> Policy {
        // There is one for each write: many are taken by one statement, and recorded as finished by another.
        Policy { concurrency: 32, ..Policy::default() }
    }

    async fn run(&self, job: Job<Event>) -> Result<(), Failure> {
        let organization =
            job.organization_id.ok_or_else(|| Failure::Never("an event has an organization".to_owned()))?;
        let (kind, name) = (&job.payload.kind, job.request_id.as_deref().unwrap_or_default());
        // Closed never.
        let _turn = self.turns.acquire().await;
        let rows =
            Transaction::read(&self.database, Some(organization), name, ENDPOINTS, &[&organization, kind])
                .await?;
        let endpoints: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        if endpoints.is_empty() {
            // Nobody wants it, and nothing is kept of it.
            return Ok(());
        }
        let payload = serde_json::to_string(&job.payload)?;
        let ids: Vec<Uuid> = endpoints.iter().map(|_| new_id(&*self.clock, &*self.randomness)).collect();
        let (mut transaction, _) = Transaction::begin(&self.database, Some(organization), name, None).await?;
        let kind = kind.clone();
        transaction.later(
            MESSAGE,
            vec![Box::new(job.id), Box::new(organization), Box::new(kind), Box::new(payload)],
        );
        transaction.later(
            DELIVERIES,
            vec![
                Box::new(organization),
                Box::new(job.id),
                Box::new(ids),
                Box::new(endpoints),
                Box::new(ATTEMPTS),
                Box::new(job.request_id),
                Box::new(job.traceparent),
            ],
        );
        transaction.commit().await?;
        self.queue.wake();
        Ok(())
    }
}
