//! `GET /api/v1/projects/{id}`

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

use super::{Project, READ, columns};
use crate::state::App;

const FIND: &str = concat!("SELECT ", columns!(), " FROM projects WHERE organization_id = $1 AND id = $2");

/// Shows a project
///
/// One that was deleted is only in the list of those that were, until it is restored.
#[utoipa::path(
    get, path = "/api/v1/projects/{id}", tag = "projects", operation_id = "showProject",
    params(("id" = Uuid, Path, description = "The project's id.")),
    responses((status = OK, body = Project)),
    extensions(("x-rules" = json!(Rules::scope(&READ).versioned())))
)]
pub async fn show(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    let project = find(&app, &actor, &context, id).await?;
    if project.deleted_at.is_some() {
        return Err(Problem::new(&codes::NOT_FOUND).detail("The project was deleted; it can be restored."));
    }
    let tag = project.etag();
    Ok(match etag::not_modified(&headers, &tag)? {
        Some(known) => known,
        None => tag.on(Json(project)),
    })
}

/// The project, if the actor may see it; also one that was deleted.
///
/// # Errors
/// A problem `insufficient-scope` or `not-found`, or one of the database.
pub async fn find(app: &App, actor: &Actor, context: &RequestContext, id: Uuid) -> Result<Project, Problem> {
    actor.require(&READ)?;
    let organization = actor.organization_or_refuse()?;
    let (database, name) = (&app.stores.database, &context.request_id);
    let rows = Transaction::read(database, Some(organization), name, FIND, &[&organization, &id]).await?;
    let project = rows.first().map(Project::read);
    project
        .filter(|project| actor.may_touch(&[project.id]))
        .ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("There is no such project."))
}
