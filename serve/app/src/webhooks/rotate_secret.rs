//! `POST /api/v1/webhooks/{id}/secrets`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::Problem;
use foundation::webhook::endpoint;
use foundation::write::{Unit, WriteRequest};
use uuid::Uuid;

use super::{WRITE, WebhookWithSecret, update};
use crate::overlap::Overlap;
use crate::state::App;

/// Gives a webhook a new secret
///
/// The old one signs beside it for as long as asked, so that the receiver can change over: each delivery then has a
/// signature by both. The new secret is in the answer, and is never shown again.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/secrets", tag = "webhooks", operation_id = "rotateWebhookSecret",
    request_body = Overlap, params(("id" = Uuid, Path, description = "The webhook's id.")),
    responses((status = OK, body = WebhookWithSecret)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned())))
)]
pub async fn rotate_secret(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let overlap: Overlap = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(&app, unit, &actor, id, &overlap).await?.answer(StatusCode::OK)
        })
        .await
}

/// Rotates the secret within a write.
///
/// # Errors
/// A problem `not-found`, or one of the database.
pub async fn apply(
    app: &App,
    unit: &mut Unit,
    actor: &Actor,
    id: Uuid,
    overlap: &Overlap,
) -> Result<WebhookWithSecret, Problem> {
    let organization = actor.organization_or_refuse()?;
    let webhook = update::lock(unit, actor, id).await?;
    let secret = endpoint::rotate(unit, &app.sealing, organization, id, overlap.duration()).await?;
    unit.audit(
        Event::new("webhook.rotate_secret", "webhook")
            .of(id)
            .changed("overlap_seconds", (), overlap.duration().as_secs())
            .changed_secret("secret"),
    );
    Ok(WebhookWithSecret::new(webhook, &secret))
}
