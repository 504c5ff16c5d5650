//! `DELETE /api/v1/tokens/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::auth::token_store;
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::Problem;
use foundation::write::idempotency::Answer;
use foundation::write::{Unit, WriteRequest};
use uuid::Uuid;

use super::WRITE;
use crate::state::App;

/// Revokes a token
///
/// And all that were minted by it: here at once, and everywhere within a second. It stays in the list. Revoking again
/// changes nothing.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "revokeToken",
    params(("id" = Uuid, Path, description = "The token's id.")),
    responses((status = NO_CONTENT, description = "It is good for nothing any more.")),
    extensions(("x-rules" = json!(Rules::scope(&WRITE))))
)]
pub async fn revoke(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(&app, unit, &actor, id).await?;
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        })
        .await
}

/// Revokes the token within a write.
///
/// # Errors
/// A problem `not-found`, or one of the database.
pub async fn apply(app: &App, unit: &mut Unit, actor: &Actor, id: Uuid) -> Result<(), Problem> {
    let ended = token_store::revoke(unit, actor, id).await?;
    let others: Vec<String> = ended.iter().filter(|ended| **ended != id).map(Uuid::to_string).collect();
    unit.audit(Event::new("token.revoke", "token").of(id).changed("revoked_with_it", (), others));
    super::forget_when_committed(app, unit, ended);
    Ok(())
}
