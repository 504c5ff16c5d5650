//! `GET /api/v1/deliveries/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use foundation::auth::actor::Actor;
use foundation::extract::{Json, Path};
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::write::transaction::Transaction;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Delivery, FIND, READ};
use crate::state::App;

/// The latest: a delivery that is sent again and again has more.
const ATTEMPTS: &str = "SELECT at, status, milliseconds, error, excerpt FROM webhook_attempts \
                        WHERE organization_id = $1 AND delivery_id = $2 ORDER BY id DESC LIMIT 100";

/// A delivery with what was said and how each attempt went.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryWithAttempts {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// What the receiver is sent.
    #[schema(value_type = Object, example = json!({
        "type": "webhook.test", "timestamp": "2026-11-02T09:30:00Z",
        "data": {"webhook_id": "01936b2e-7c1a-7d53-9a53-5a6f0c2b9e11"}
    }))]
    pub payload: Value,
    /// Attempts, the latest first; 100 at most.
    pub attempts: Vec<Attempt>,
}

/// One attempt.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Attempt {
    /// When it ended.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The status that the receiver answered; nothing where it did not answer.
    #[schema(required = true, example = 200)]
    pub status: Option<i32>,
    /// How long it took.
    #[schema(minimum = 0, example = 87)]
    pub milliseconds: i64,
    /// Why there was no answer.
    #[schema(required = true, example = "there was no answer in time")]
    pub error: Option<String>,
    /// How the answer begins.
    #[schema(required = true, example = "ok")]
    pub excerpt: Option<String>,
}

impl Attempt {
    fn read(row: &Row) -> Self {
        Self {
            at: row.get("at"),
            status: row.get("status"),
            milliseconds: row.get("milliseconds"),
            error: row.get("error"),
            excerpt: row.get("excerpt"),
        }
    }
}

/// Shows a delivery
///
/// With what was said, and how each attempt went.
#[utoipa::path(
    get, path = "/api/v1/deliveries/{id}", tag = "webhooks", operation_id = "showDelivery",
    params(("id" = Uuid, Path, description = "The delivery's id.")),
    responses((status = OK, body = DeliveryWithAttempts)),
    extensions(("x-rules" = json!(Rules::scope(&READ))))
)]
pub async fn show(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    Ok(Json(find(&app, &actor, &context, id).await?).into_response())
}

/// The delivery, if the actor may see it.
///
/// # Errors
/// A problem `insufficient-scope` or `not-found`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    id: Uuid,
) -> Result<DeliveryWithAttempts, Problem> {
    actor.require(&READ)?;
    let organization = actor.organization_or_refuse()?;
    let (database, name) = (&app.stores.database, &context.request_id);
    let rows = Transaction::read(database, Some(organization), name, FIND, &[&organization, &id]).await?;
    let row = rows.first().filter(|row| actor.may_touch(&[row.get("endpoint_id")]));
    let row = row.ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("There is no such delivery."))?;
    let tried =
        Transaction::read(database, Some(organization), name, ATTEMPTS, &[&organization, &id]).await?;
    Ok(DeliveryWithAttempts {
        delivery: Delivery::read(row),
        payload: serde_json::from_str(row.get("payload")).unwrap_or(Value::Null),
        attempts: tried.iter().map(Attempt::read).collect(),
    })
}
