//! Webhooks: where an organization wants to be told of what happens. One file an operation.

pub mod create;
pub mod delete;
pub mod destination;
pub mod list;
pub mod rotate_secret;
pub mod show;
pub mod test;
pub mod update;

use axum::http::StatusCode;
use foundation::auth::scope::Scope;
use foundation::etag::ETag;
use foundation::page::cursor::Position;
use foundation::problem::Problem;
use foundation::webhook::sign::WebhookSecret;
use foundation::write::idempotency::Answer;
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::events::EventType;

/// Seeing endpoints and deliveries.
pub const READ: Scope = Scope::read("webhooks");
/// Making, changing and deleting endpoints; sending again.
pub const WRITE: Scope = Scope::write("webhooks");

/// Why a webhook is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DisabledReason {
    /// It answered 410, which says that nobody is there any more.
    Gone,
    /// It took nothing for five days.
    Failing,
    /// Somebody wanted it.
    Requested,
}

impl DisabledReason {
    fn stored(text: &str) -> Self {
        match text {
            "gone" => Self::Gone,
            "failing" => Self::Failing,
            _ => Self::Requested,
        }
    }
}

/// Where events are delivered to.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Webhook {
    /// Names it.
    pub id: Uuid,
    /// Where to.
    #[schema(example = "https://hooks.example.com/bastide")]
    pub url: String,
    /// For people.
    #[schema(max_length = 10000, example = "The chat room.")]
    pub description: String,
    /// Which events are delivered; with none here, all are.
    #[schema(value_type = Vec<EventType>)]
    pub events: Vec<String>,
    /// Whether anything is delivered.
    pub enabled: bool,
    /// Why nothing is.
    #[schema(required = true)]
    pub disabled_reason: Option<DisabledReason>,
    /// Since when.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub disabled_at: Option<OffsetDateTime>,
    /// Since when it takes nothing: after five days it is disabled.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub failing_since: Option<OffsetDateTime>,
    /// Counts up with every change; it is the entity tag's.
    #[schema(minimum = 1)]
    pub version: i64,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Who made it: a person or an agent.
    pub created_by: Uuid,
    /// When somebody last changed it.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A webhook and its new secret, which is shown in this answer and never again.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookWithSecret {
    /// What is known of it afterwards.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// With what the receiver verifies the header `webhook-signature`, as Standard Webhooks says.
    #[schema(example = "whsec_shown-once")]
    pub secret: String,
}

/// Columns of a webhook, as [`Webhook::read`] wants them.
macro_rules! columns {
    () => {
        "id, url, description, events, disabled_at, disabled_reason, failing_since, version, created_at, created_by, \
         updated_at"
    };
}
pub(crate) use columns;

impl Webhook {
    fn read(row: &Row) -> Self {
        let disabled_at: Option<OffsetDateTime> = row.get("disabled_at");
        Self {
            id: row.get("id"),
            url: row.get("url"),
            description: row.get("description"),
            events: row.get("events"),
            enabled: disabled_at.is_none(),
            disabled_reason: row.get::<_, Option<&str>>("disabled_reason").map(DisabledReason::stored),
            disabled_at,
            failing_since: row.get("failing_since"),
            version: row.get("version"),
            created_at: row.get("created_at"),
            created_by: row.get("created_by"),
            updated_at: row.get("updated_at"),
        }
    }

    /// The tag of this version.
    pub fn etag(&self) -> ETag {
        ETag::of_version(self.version)
    }

    fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id }
    }

    /// The answer to a write that has left this version.
    fn answer(&self, status: StatusCode) -> Result<Answer, Problem> {
        Ok(Answer::json(status, self)?.tagged(&self.etag()))
    }
}

impl WebhookWithSecret {
    fn new(webhook: Webhook, secret: &WebhookSecret) -> Self {
        Self { webhook, secret: secret.reveal() }
    }

    /// The one answer that shows the secret.
    fn answer(&self, status: StatusCode) -> Result<Answer, Problem> {
        Ok(Answer::json(status, self)?.tagged(&self.webhook.etag()).secret())
    }
}
