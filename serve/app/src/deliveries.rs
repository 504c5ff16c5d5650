//! Deliveries to webhooks: what was said to which, and how it went. One file an operation.

pub mod list;
pub mod replay;
pub mod show;

use axum::http::StatusCode;
use foundation::page::cursor::Position;
use foundation::problem::{Problem, codes};
use foundation::write::Unit;
use foundation::write::idempotency::Answer;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::events::EventType;

pub use crate::webhooks::{READ, WRITE};

const FIND: &str = concat!(deliveries!(), " WHERE delivery.organization_id = $1 AND delivery.id = $2");

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// It is being tried, or will be again.
    Pending,
    /// The webhook has taken it.
    Delivered,
    /// It was given up.
    Failed,
}

impl DeliveryState {
    /// As the database has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    fn stored(text: &str) -> Self {
        match text {
            "delivered" => Self::Delivered,
            "failed" => Self::Failed,
            _ => Self::Pending,
        }
    }
}

/// One event, said to one webhook.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Delivery {
    /// Names it.
    pub id: Uuid,
    /// The webhook.
    pub webhook_id: Uuid,
    /// The event's name, the same in every attempt: what the receiver finds in the header `webhook-id`.
    #[schema(example = "msg_01936b2e7c1a7d539a535a6f0c2b9e11")]
    pub event_id: String,
    /// What happened.
    #[schema(value_type = EventType)]
    pub event_type: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// When the event was to be said.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// How often it was tried.
    #[schema(minimum = 0, example = 1)]
    pub attempt_count: i64,
    /// When it was last tried.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub last_attempt_at: Option<OffsetDateTime>,
    /// The status that the receiver answered last; nothing where it did not answer.
    #[schema(required = true, example = 200)]
    pub last_status: Option<i32>,
    /// When it is tried next.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub next_attempt_at: Option<OffsetDateTime>,
}

/// Deliveries, as [`Delivery::read`] wants them.
macro_rules! deliveries {
    () => {
        "SELECT delivery.id, delivery.endpoint_id, delivery.message_id, message.type, message.payload, delivery.state, \
         delivery.created_at, tried.times, last.at, last.status, job.run_at \
         FROM webhook_deliveries AS delivery JOIN webhook_messages AS message ON message.id = delivery.message_id \
         CROSS JOIN LATERAL (SELECT count(*) AS times FROM webhook_attempts WHERE delivery_id = delivery.id) AS tried \
         LEFT JOIN LATERAL (SELECT at, status FROM webhook_attempts WHERE delivery_id = delivery.id \
             ORDER BY id DESC LIMIT 1) AS last ON true \
         LEFT JOIN jobs AS job ON job.id = delivery.job_id AND job.feed_at IS NOT NULL AND delivery.state = 'pending'"
    };
}
pub(crate) use deliveries;

impl Delivery {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            webhook_id: row.get("endpoint_id"),
            event_id: format!("msg_{}", row.get::<_, Uuid>("message_id").simple()),
            event_type: row.get("type"),
            state: DeliveryState::stored(row.get("state")),
            created_at: row.get("created_at"),
            attempt_count: row.get("times"),
            last_attempt_at: row.get("at"),
            last_status: row.get("status"),
            next_attempt_at: row.get("run_at"),
        }
    }

    fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id }
    }

    /// The delivery as a write has left it.
    pub(crate) async fn within(unit: &Unit, organization: Uuid, id: Uuid) -> Result<Self, Problem> {
        let rows = unit.transaction.query(FIND, &[&organization, &id]).await?;
        rows.first().map(Self::read).ok_or_else(|| Problem::new(&codes::INTERNAL))
    }

    /// The answer to a write after which it is under way.
    pub(crate) fn answer(&self, status: StatusCode) -> Result<Answer, Problem> {
        Ok(Answer::json(status, self)?.located(&format!("/api/v1/deliveries/{}", self.id)))
    }
}
