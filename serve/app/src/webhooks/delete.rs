//! `DELETE /api/v1/webhooks/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::etag::{self, Condition};
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::Problem;
use foundation::write::idempotency::Answer;
use foundation::write::{Unit, WriteRequest};
use uuid::Uuid;

use super::destination::without_query;
use super::{WRITE, update};
use crate::state::App;

const DELETE: &str = "DELETE FROM webhook_endpoints WHERE organization_id = $1 AND id = $2";

/// Deletes a webhook
///
/// With its secrets and the log of its deliveries. What is not delivered yet is not delivered. It cannot be restored.
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{id}", tag = "webhooks", operation_id = "deleteWebhook",
    params(("id" = Uuid, Path, description = "The webhook's id.")),
    responses((status = NO_CONTENT, description = "It is deleted.")),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned())))
)]
pub async fn delete(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let condition = etag::required_if_match(&headers)?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(unit, &actor, id, &condition).await?;
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        })
        .await
}

/// Deletes the webhook within a write.
///
/// # Errors
/// A problem `not-found` or `precondition-failed`, or one of the database.
pub async fn apply(unit: &mut Unit, actor: &Actor, id: Uuid, condition: &Condition) -> Result<(), Problem> {
    let organization = actor.organization_or_refuse()?;
    let webhook = update::lock(unit, actor, id).await?;
    etag::check(Some(condition), &webhook.etag())?;
    unit.transaction.later(DELETE, vec![Box::new(organization), Box::new(id)]);
    unit.audit(Event::new("webhook.delete", "webhook").of(id).changed(
        "url",
        without_query(&webhook.url),
        (),
    ));
    Ok(())
}
