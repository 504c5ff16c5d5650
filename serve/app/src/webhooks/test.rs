//! `POST /api/v1/webhooks/{id}/tests`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::audit::Event as AuditEvent;
use foundation::auth::actor::Actor;
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::Problem;
use foundation::webhook::delivery;
use foundation::webhook::event::{Event, TEST};
use foundation::write::{Unit, WriteRequest};
use serde_json::json;
use uuid::Uuid;

use super::{WRITE, update};
use crate::codes::WEBHOOK_DISABLED;
use crate::deliveries::Delivery;
use crate::state::App;

/// Tries a webhook
///
/// An event `webhook.test` is delivered to it, once and whatever it wants. How that went is said by the delivery.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/tests", tag = "webhooks", operation_id = "testWebhook",
    params(("id" = Uuid, Path, description = "The webhook's id.")),
    responses((status = ACCEPTED, description = "The delivery, which is under way.", body = Delivery)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).problem(&WEBHOOK_DISABLED))))
)]
pub async fn test(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    app.writes
        .perform(&actor, &request, async |unit| apply(unit, &actor, id).await?.answer(StatusCode::ACCEPTED))
        .await
}

/// Sends the test within a write.
///
/// # Errors
/// A problem `not-found` or `webhook-disabled`, or one of the database.
pub async fn apply(unit: &mut Unit, actor: &Actor, id: Uuid) -> Result<Delivery, Problem> {
    let organization = actor.organization_or_refuse()?;
    if !update::lock(unit, actor, id).await?.enabled {
        return Err(Problem::new(&WEBHOOK_DISABLED));
    }
    let data = json!({"webhook_id": id});
    let event = Event { kind: TEST.to_owned(), timestamp: unit.now(), data };
    let delivery = delivery::send_once(unit, organization, id, &event).await?;
    unit.audit(AuditEvent::new("webhook.test", "webhook").of(id));
    Delivery::within(unit, organization, delivery).await
}
