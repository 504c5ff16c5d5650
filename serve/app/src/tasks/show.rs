//! `GET /api/v1/tasks/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::Response;
use foundation::auth::actor::Actor;
use foundation::etag;
use foundation::extract::{Json, Path};
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::write::transaction::Transaction;
use uuid::Uuid;

use super::{READ, Task, columns, project_is_there};
use crate::state::App;

const FIND: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tasks WHERE organization_id = $1 AND id = $2 AND ",
    project_is_there!()
);

/// Shows a task
///
/// One that was deleted is only in the list of those that were, until it is restored.
#[utoipa::path(
    get, path = "/api/v1/tasks/{id}", tag = "tasks", operation_id = "showTask",
    params(("id" = Uuid, Path, description = "The task's id.")),
    responses((status = OK, body = Task)),
    extensions(("x-rules" = json!(Rules::scope(&READ).versioned())))
)]
pub async fn show(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    let task = find(&app, &actor, &context, id).await?;
    if task.deleted_at.is_some() {
        return Err(Problem::new(&codes::NOT_FOUND).detail("The task was deleted; it can be restored."));
    }
    let tag = task.etag();
    Ok(match etag::not_modified(&headers, &tag)? {
        Some(known) => known,
        None => tag.on(Json(task)),
    })
}

/// The task, if the actor may see it; also one that was deleted.
///
/// # Errors
/// A problem `insufficient-scope` or `not-found`, or one of the database.
pub async fn find(app: &App, actor: &Actor, context: &RequestContext, id: Uuid) -> Result<Task, Problem> {
    actor.require(&READ)?;
    let organization = actor.organization_or_refuse()?;
    let (database, name) = (&app.stores.database, &context.request_id);
    let rows = Transaction::read(database, Some(organization), name, FIND, &[&organization, &id]).await?;
    let task = rows.first().map(Task::read);
    task.filter(|task| actor.may_touch(&[task.project_id, task.id]))
        .ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("There is no such task."))
}
