//! `DELETE /api/v1/sessions/{id}`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::{Unit, WriteRequest};
use uuid::Uuid;

use super::ended;
use crate::state::App;

/// Signs you out somewhere
///
/// The session is refused from now on, everywhere. The session by which you ask can be ended so, too.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", tag = "sessions", operation_id = "revokeSession",
    params(("id" = Uuid, Path, description = "The session's id.")),
    responses((status = NO_CONTENT, description = "It has ended.")),
    extensions(("x-rules" = json!(Rules::person())))
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    actor: Actor,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    let this_one = actor.person_or_refuse()?.session_id == id;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(&app, unit, &actor, id).await?;
            Ok(ended(this_one))
        })
        .await
}

/// Ends one of the person's sessions within a write.
///
/// # Errors
/// A problem `people-only` or `not-found`, or one of Valkey.
pub async fn apply(app: &App, unit: &mut Unit, actor: &Actor, id: Uuid) -> Result<(), Problem> {
    let person = actor.person_or_refuse()?;
    if !app.authentication.sessions.revoke(person.id, id).await? {
        return Err(Problem::new(&codes::NOT_FOUND).detail("You have no such session, or it has ended."));
    }
    unit.audit(Event::new("session.revoke", "session").of(id));
    Ok(())
}
