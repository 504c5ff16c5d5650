//! `POST /api/v1/tasks/{id}/restorations`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::{Unit, WriteRequest};
use uuid::Uuid;

use super::{Task, WRITE, columns, update};
use crate::events;
use crate::state::App;

const RESTORE: &str = concat!(
    "UPDATE tasks SET deleted_at = NULL, updated_at = $3, version = version + 1 \
     WHERE organization_id = $1 AND id = $2 RETURNING ",
    columns!()
);

/// Restores a task that was deleted
///
/// One that was not deleted is answered as it is. Of a project that was deleted, restore the project first.
#[utoipa::path(
    post, path = "/api/v1/tasks/{id}/restorations", tag = "tasks", operation_id = "restoreTask",
    params(("id" = Uuid, Path, description = "The task's id.")),
    responses((status = OK, body = Task)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned())))
)]
pub async fn restore(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    app.writes
        .perform(&actor, &request, async |unit| apply(unit, &actor, id).await?.answer(StatusCode::OK))
        .await
}

/// Restores the task within a write.
///
/// # Errors
/// A problem `not-found`, or one of the database.
pub async fn apply(unit: &mut Unit, actor: &Actor, id: Uuid) -> Result<Task, Problem> {
    let organization = actor.organization_or_refuse()?;
    let task = update::lock(unit, actor, id).await?;
    if task.deleted_at.is_none() {
        return Ok(task);
    }
    let now = unit.now();
    let rows = unit.transaction.query(RESTORE, &[&organization, &id, &now]).await?;
    let task = rows.first().map(Task::read).ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    unit.audit(Event::new("task.restore", "task").of(id));
    events::announce(unit, organization, "task.created", &task.summary())?;
    Ok(task)
}
