//! `DELETE /api/v1/sessions`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::openapi::Rules;
use foundation::problem::Problem;
use foundation::write::{Unit, WriteRequest};

use super::ended;
use crate::state::App;

/// Signs you out everywhere
///
/// All your sessions end, also the one by which you ask.
#[utoipa::path(
    delete, path = "/api/v1/sessions", tag = "sessions", operation_id = "revokeAllSessions",
    responses((status = NO_CONTENT, description = "All of them have ended.")),
    extensions(("x-rules" = json!(Rules::person())))
)]
pub async fn revoke_all(
    State(app): State<Arc<App>>,
    actor: Actor,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.person_or_refuse()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(&app, unit, &actor).await?;
            Ok(ended(true))
        })
        .await
}

/// Ends all of the person's sessions within a write.
///
/// # Errors
/// A problem `people-only`, or one of Valkey.
pub async fn apply(app: &App, unit: &mut Unit, actor: &Actor) -> Result<(), Problem> {
    let person = actor.person_or_refuse()?;
    let count = app.authentication.sessions.revoke_all(person.id).await?;
    unit.audit(Event::new("session.revoke-all", "person").of(person.id).changed("sessions", count, 0));
    Ok(())
}
