//! One delivery: sent, written down, tried again by the standard's waits.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use deadpool_postgres::GenericClient;
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::client::{Answer, Client, SendError};
use super::event::{DISABLED, Event};
use super::{endpoint, enter, sign};
use crate::audit::{self, Origin};
use crate::clock::{Clock, Randomness, new_id};
use crate::database::Database;
use crate::jobs::{Backoff, Failure, Handler, Job, Policy, Queue};
use crate::outbox;
use crate::request;
use crate::seal::KeyRing;

/// The first attempt and one after each wait.
pub(super) const ATTEMPTS: i32 = 10;
/// The standard's waits.
const WAITS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];
/// An endpoint that has taken nothing for so long is disabled with the next delivery that is given up.
const GIVE_UP_AFTER: time::Duration = time::Duration::days(5);
const GONE: u16 = 410;
/// What the log of a delivery says where this server could not do its part.
const UNPREPARED: &str = "this server could not prepare it";

const LOAD: &str = "\
    SELECT endpoint.id, endpoint.url, endpoint.disabled_at IS NOT NULL, message.id, message.payload \
    FROM webhook_deliveries AS delivery \
    JOIN webhook_endpoints AS endpoint ON endpoint.id = delivery.endpoint_id \
    JOIN webhook_messages AS message ON message.id = delivery.message_id WHERE delivery.id = $1 AND delivery.job_id = $2 \
      AND organization_is_active(delivery.organization_id)";
const ATTEMPT: &str = "\
    INSERT INTO webhook_attempts (id, organization_id, delivery_id, status, milliseconds, error, excerpt) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const STATE: &str = "UPDATE webhook_deliveries SET state = $2 WHERE id = $1";
// What people see of an endpoint has another version when it changes.
const WELL: &str = "\
    UPDATE webhook_endpoints SET failing_since = NULL, version = version + 1 \
    WHERE id = $1 AND failing_since IS NOT NULL";
const ILL: &str = "\
    UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, now()), \
                                 version = version + (failing_since IS NULL)::integer \
    WHERE id = $1 RETURNING failing_since";
const DISABLE: &str = "\
    UPDATE webhook_endpoints SET disabled_at = now(), disabled_reason = $2, version = version + 1 \
    WHERE id = $1 AND disabled_at IS NULL";

/// Which delivery.
#[derive(Debug, Deserialize)]
pub struct Delivery {
    delivery: Uuid,
}

/// Delivers.
#[derive(Debug)]
pub struct Deliver {
    /// Where endpoints and messages are.
    pub database: Database,
    /// Is told of what follows.
    pub queue: Queue,
    /// Sends.
    pub client: Client,
    /// Opens the endpoints' secrets.
    pub keys: Arc<KeyRing>,
    /// For the timestamp that is signed.
    pub clock: Arc<dyn Clock>,
    /// For identifiers.
    pub randomness: Arc<dyn Randomness>,
}

/// What is sent, and where to.
struct Parcel {
    endpoint: Uuid,
    url: String,
    message: Uuid,
    payload: String,
    secrets: Vec<sign::WebhookSecret>,
}

/// How an attempt went.
#[derive(Default)]
struct Attempt {
    status: Option<i32>,
    milliseconds: i64,
    error: Option<String>,
    excerpt: Option<String>,
}

impl Handler for Deliver {
    const KIND: &'static str = "webhook.deliver";
    type Payload = Delivery;

    fn policy(&self) -> Policy {
        // A receiver that is silent holds a slot for long, and an organization may have many of them.
        let (concurrency, share) = (16, Some(4));
        Policy { concurrency, share, limit: Duration::from_secs(60), backoff: Backoff::Steps(&WAITS) }
    }

    async fn run(&self, job: Job<Delivery>) -> Result<(), Failure> {
        let organization =
            job.organization_id.ok_or_else(|| Failure::Never("a delivery has an organization".to_owned()))?;
        // An endpoint that was deleted or disabled in the meantime, or whose organization was, wants nothing, and what is delivered again is left to
        // the job that does so.
        let parcel = match self.load(organization, job.payload.delivery, job.id).await {
            Ok(Some(parcel)) => parcel,
            Ok(None) => return Ok(()),
            Err(failure) => {
                if job.is_last() {
                    self.give_up(organization, job.payload.delivery).await?;
                }
                return Err(failure);
            }
        };
        let started = tokio::time::Instant::now();
        let sent = self.send(&parcel).await;
        let milliseconds = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.record(organization, &job, &parcel, &sent, milliseconds).await?;
        match sent {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            // Given up, which the delivery's log says. It is no dead job: the operator can do nothing about it.
            Ok(answer) if answer.status == GONE => Ok(()),
            _ if job.is_last() => Ok(()),
            Ok(answer) => Err(Failure::Again(format!("the endpoint answered {}", answer.status))),
            Err(error) => Err(Failure::Again(error.to_string())),
        }
    }
}

impl Deliver {
    async fn load(&self, organization: Uuid, delivery: Uuid, job: Uuid) -> Result<Option<Parcel>, Failure> {
        let mut connection = self.database.connection().await?;
        let transaction = connection.transaction().await?;
        enter(&transaction, organization).await?;
        let statement = transaction.prepare_cached(LOAD).await?;
        let Some(row) = transaction.query_opt(&statement, &[&delivery, &job]).await? else {
            return Ok(None);
        };
        if row.get(2) {
            set_state(&transaction, delivery, "failed").await?;
            transaction.commit().await?;
            return Ok(None);
        }
        let endpoint = row.get(0);
        let secrets = endpoint::secrets(&transaction, &self.keys, endpoint).await?;
        transaction.commit().await?;
        Ok(Some(Parcel { endpoint, url: row.get(1), message: row.get(3), payload: row.get(4), secrets }))
    }

    /// What could not even be prepared is not tried any more: its log says so. The job is dead, for the operator to see.
    async fn give_up(&self, organization: Uuid, delivery: Uuid) -> Result<(), Failure> {
        let mut connection = self.database.connection().await?;
        let transaction = connection.transaction().await?;
        enter(&transaction, organization).await?;
        let attempt = Attempt { error: Some(UNPREPARED.to_owned()), ..Attempt::default() };
        self.log(&transaction, organization, delivery, &attempt).await?;
        set_state(&transaction, delivery, "failed").await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Writes an attempt into the delivery's log.
    async fn log(
        &self,
        client: &impl GenericClient,
        organization: Uuid,
        delivery: Uuid,
        attempt: &Attempt,
    ) -> Result<(), Failure> {
        let id = new_id(&*self.clock, &*self.randomness);
        let Attempt { status, milliseconds, error, excerpt } = attempt;
        let statement = client.prepare_cached(ATTEMPT).await?;
        client
            .execute(&statement, &[&id, &organization, &delivery, status, milliseconds, error, excerpt])
            .await?;
        Ok(())
    }

    async fn send(&self, parcel: &Parcel) -> Result<Answer, SendError> {
        let url = parcel.url.parse().map_err(|_| SendError::BadUrl("it is none"))?;
        let id = format!("msg_{}", parcel.message.simple());
        let timestamp = self.clock.now().unix_timestamp();
        let signatures = sign::signatures(&parcel.secrets, &id, timestamp, parcel.payload.as_bytes());
        let header = |name, text: String| {
            let value = HeaderValue::try_from(text).map_err(|_| SendError::BadUrl("it cannot be signed"))?;
            Ok::<_, SendError>((HeaderName::from_static(name), value))
        };
        let mut headers = vec![
            header("webhook-id", id)?,
            header("webhook-timestamp", timestamp.to_string())?,
            header("webhook-signature", signatures)?,
        ];
        // Whoever receives it can name the request that it follows from, and go on in its trace.
        if let Some(context) = request::current() {
            headers.push(header("x-request-id", context.request_id.to_string())?);
            headers.push(header("traceparent", context.trace.traceparent())?);
        }
        self.client.post(&url, &headers, Bytes::from(parcel.payload.clone())).await
    }

    async fn record(
        &self,
        organization: Uuid,
        job: &Job<Delivery>,
        parcel: &Parcel,
        sent: &Result<Answer, SendError>,
        milliseconds: i64,
    ) -> Result<(), Failure> {
        let delivery = job.payload.delivery;
        let status = sent.as_ref().ok().map(|answer| i32::from(answer.status));
        let delivered = status.is_some_and(|status| (200..300).contains(&status));
        let gone = status == Some(i32::from(GONE));
        let (error, excerpt) = match sent {
            Ok(answer) => (None, Some(answer.excerpt.clone())),
            Err(error) => (Some(error.to_string()), None),
        };
        let mut connection = self.database.connection().await?;
        let transaction = connection.transaction().await?;
        enter(&transaction, organization).await?;
        let attempt = Attempt { status, milliseconds, error, excerpt };
        self.log(&transaction, organization, delivery, &attempt).await?;
        let ended = delivered || gone || job.is_last();
        if ended {
            set_state(&transaction, delivery, if delivered { "delivered" } else { "failed" }).await?;
        }
        if delivered {
            let statement = transaction.prepare_cached(WELL).await?;
            transaction.execute(&statement, &[&parcel.endpoint]).await?;
        } else {
            self.blame(&transaction, organization, parcel, gone, ended).await?;
        }
        transaction.commit().await?;
        self.queue.wake();
        Ok(())
    }

    /// Remembers since when an endpoint takes nothing, and disables it when that is long ago or it said that it is gone.
    async fn blame(
        &self,
        client: &impl GenericClient,
        organization: Uuid,
        parcel: &Parcel,
        gone: bool,
        ended: bool,
    ) -> Result<(), Failure> {
        let statement = client.prepare_cached(ILL).await?;
        let Some(row) = client.query_opt(&statement, &[&parcel.endpoint]).await? else { return Ok(()) };
        let since: OffsetDateTime = row.get(0);
        let now = self.clock.now();
        let given_up = ended && now - since >= GIVE_UP_AFTER;
        if !gone && !given_up {
            return Ok(());
        }
        let reason = if gone { "gone" } else { "failing" };
        let statement = client.prepare_cached(DISABLE).await?;
        if client.execute(&statement, &[&parcel.endpoint, &reason]).await? == 1 {
            let request_id = request::current().map(|context| context.request_id.to_string());
            let origin = Origin::of_system(Some(organization), request_id.unwrap_or_default());
            let disabled = audit::Event::new("webhook.disable", "webhook")
                .of(parcel.endpoint)
                .changed("enabled", true, false)
                .changed("disabled_reason", (), reason);
            let id = new_id(&*self.clock, &*self.randomness);
            disabled.write(client, id, now, &origin).await?;
            tracing::warn!(action = "webhook", endpoint = %parcel.endpoint, reason, result = "disabled");
            let data = serde_json::json!({"endpoint_id": parcel.endpoint, "reason": reason});
            let event = Event { kind: DISABLED.to_owned(), timestamp: now, data };
            outbox::enqueue(client, &event.job(organization, &*self.clock, &*self.randomness)?).await?;
        }
        Ok(())
    }
}

async fn set_state(client: &impl GenericClient, delivery: Uuid, state: &str) -> Result<(), Failure> {
    let statement = client.prepare_cached(STATE).await?;
    client.execute(&statement, &[&delivery, &state]).await?;
    Ok(())
}
