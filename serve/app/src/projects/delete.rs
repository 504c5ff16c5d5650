//! `DELETE /api/v1/projects/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::etag::{self, Condition};
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::idempotency::Answer;
use foundation::write::{Unit, WriteRequest};
use uuid::Uuid;

use super::{WRITE, update};
use crate::events;
use crate::state::App;

const DELETE: &str = "UPDATE projects SET deleted_at = $3, updated_at = $3, version = version + 1 \
                      WHERE organization_id = $1 AND id = $2";

/// Deletes a project
///
/// It can be restored for 30 days.
#[utoipa::path(
    delete, path = "/api/v1/projects/{id}", tag = "projects", operation_id = "deleteProject",
    params(("id" = Uuid, Path, description = "The project's id.")),
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

/// Deletes the project within a write.
///
/// # Errors
/// A problem `not-found` or `precondition-failed`, or one of the database.
pub async fn apply(unit: &mut Unit, actor: &Actor, id: Uuid, condition: &Condition) -> Result<(), Problem> {
    let organization = actor.organization_or_refuse()?;
    let project = update::lock(unit, actor, id).await?;
    if project.deleted_at.is_some() {
        return Err(Problem::new(&codes::NOT_FOUND).detail("The project was deleted before."));
    }
    etag::check(Some(condition), &project.etag())?;
    let now = unit.now();
    unit.transaction.later(DELETE, vec![Box::new(organization), Box::new(id), Box::new(now)]);
    unit.audit(Event::new("project.delete", "project").of(id));
    events::announce(unit, organization, "project.deleted", &project.summary())
}
