//! `POST /api/v1/tokens/{id}/rotations`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::auth::token_store;
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::{Unit, WriteRequest};
use uuid::Uuid;

use super::{MintedToken, WRITE};
use crate::overlap::Overlap;
use crate::state::App;

/// Puts a new token in the place of an old one
///
/// It allows the same. The old one stays good for as long as asked, so that the agent can change over. The secret is in
/// the answer, and is never shown again.
#[utoipa::path(
    post, path = "/api/v1/tokens/{id}/rotations", tag = "tokens", operation_id = "rotateToken",
    request_body = Overlap, params(("id" = Uuid, Path, description = "The old token's id.")),
    responses((status = CREATED, body = MintedToken)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE)
        .problem(&codes::TOKEN_TOO_WIDE).problem(&codes::TOKEN_ENDED))))
)]
pub async fn rotate(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let overlap: Overlap = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| apply(&app, unit, &actor, id, &overlap).await?.answer())
        .await
}

/// Rotates the token within a write.
///
/// # Errors
/// A problem `not-found`, `token-ended` or `token-too-wide`, or one of the database.
pub async fn apply(
    app: &App,
    unit: &mut Unit,
    actor: &Actor,
    id: Uuid,
    overlap: &Overlap,
) -> Result<MintedToken, Problem> {
    let organization = actor.organization_or_refuse()?;
    let minted = token_store::rotate(unit, &app.prefix, actor, id, overlap.duration()).await?;
    let secret = MintedToken::of(unit, organization, &minted).await?;
    unit.audit(
        Event::new("token.rotate", "token")
            .of(id)
            .changed("successor_id", (), minted.id.to_string())
            .changed("overlap_seconds", (), overlap.duration().as_secs())
            .changed_secret("secret"),
    );
    // Its end has come nearer.
    super::forget_when_committed(app, unit, vec![id]);
    Ok(secret)
}
