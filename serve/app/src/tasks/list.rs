//! `GET /api/v1/tasks`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;
use foundation::auth::actor::Actor;
use foundation::extract::Query;
use foundation::openapi::Rules;
use foundation::page::list::List;
use foundation::page::{Page, PageRequest};
use foundation::problem::Problem;
use foundation::request::RequestContext;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{READ, State, Task, columns, project_is_there};
use crate::state::App;

const SELECT: &str = concat!("SELECT ", columns!(), " FROM tasks");

/// Which tasks.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those of this project.
    pub project_id: Option<Uuid>,
    /// Only those that stand there.
    pub state: Option<State>,
    /// Those that were deleted and can be restored, instead of those that were not.
    #[serde(default)]
    pub deleted: bool,
    pub limit: Option<String>,
    pub cursor: Option<String>,
}

/// Lists tasks
///
/// The oldest come first.
#[utoipa::path(
    get, path = "/api/v1/tasks", tag = "tasks", operation_id = "listTasks", params(Filter),
    responses((status = OK, description = "A page of tasks.", body = Page<Task>)),
    extensions(("x-rules" = json!(Rules::scope(&READ).paged())))
)]
pub async fn list(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    uri: Uri,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    Ok(find(&app, &actor, &context, &filter).await?.answer(&uri))
}

/// The page of tasks.
///
/// # Errors
/// A problem `insufficient-scope`, `bad-limit` or `bad-cursor`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    filter: &Filter,
) -> Result<Page<Task>, Problem> {
    actor.require(&READ)?;
    let organization = actor.organization_or_refuse()?;
    let state = filter.state.map(State::as_str);
    let list = format!("tasks {organization} {:?} {state:?} {}", filter.project_id, filter.deleted);
    let page = PageRequest::read(filter.limit.as_deref(), filter.cursor.as_deref(), &app.cursors, &list)?;
    let rows = List::of(SELECT, organization)
        .only(if filter.deleted { "deleted_at IS NOT NULL" } else { "deleted_at IS NULL" })
        .only(project_is_there!())
        .with_some("project_id = $", filter.project_id)
        .with_some("state = $", state)
        .with_some("(project_id = ANY ($) OR id = ANY ($))", actor.restriction())
        .read(&app.stores.database, &context.request_id, &page)
        .await?;
    let tasks = rows.iter().map(Task::read).collect();
    Ok(Page::new(tasks, &page, Task::position, &app.cursors, &list))
}
