//! A small API, described as services describe theirs. Query parameters are named by `params`: utoipa finds bodies by
//! itself, but these only with it.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Document, Rules};
use crate::auth::scope::Scope;
use crate::extract::{Json, Path, Query};
use crate::page::Page;
use crate::problem::Code;
use crate::problem::registry::Registry;

const READ: Scope = Scope::read("tasks");
const WRITE: Scope = Scope::write("tasks");
const TASK_CLOSED: Code =
    Code { code: "task-closed", status: 409, title: "The task is closed", about: "Open it first." };

/// What is to be done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Task {
    /// Names it.
    id: Uuid,
    /// In a few words.
    #[schema(min_length = 1, max_length = 200, example = "Water <the> plants")]
    title: String,
    /// Where it stands.
    state: State,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// Where a task stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Open,
    Done,
}

/// A task to be made.
#[derive(Debug, Deserialize, ToSchema)]
struct NewTask {
    /// In a few words.
    #[schema(min_length = 1, max_length = 200, example = "Water <the> plants")]
    title: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only those that stand there.
    state: Option<State>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// Lists tasks
///
/// The oldest come first. A `cursor` belongs to its filters.
#[utoipa::path(
    get, path = "/api/v1/tasks", tag = "tasks", operation_id = "listTasks", params(Filter),
    responses((status = OK, description = "A page of tasks.", body = Page<Task>)),
    extensions(("x-rules" = json!(Rules::scope(&READ).paged())))
)]
async fn list(Query(filter): Query<Filter>) -> StatusCode {
    drop((filter.state, filter.limit, filter.cursor));
    StatusCode::OK
}

/// Makes a task
#[utoipa::path(
    post, path = "/api/v1/tasks", tag = "tasks", operation_id = "createTask",
    responses((status = CREATED, body = Task)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned().key_required())))
)]
async fn create(Json(task): Json<NewTask>) -> StatusCode {
    drop(task.title);
    StatusCode::CREATED
}

/// Shows a task
#[utoipa::path(
    get, path = "/api/v1/tasks/{id}", tag = "tasks", operation_id = "showTask",
    params(("id" = Uuid, Path, description = "The task's id.")),
    responses((status = OK, body = Task)),
    extensions(("x-rules" = json!(Rules::scope(&READ).versioned())))
)]
async fn show(Path(_id): Path<Uuid>) -> StatusCode {
    StatusCode::OK
}

/// Deletes a task
#[utoipa::path(
    delete, path = "/api/v1/tasks/{id}", tag = "tasks", operation_id = "deleteTask",
    params(("id" = Uuid, Path, description = "The task's id.")),
    responses((status = NO_CONTENT, description = "It is gone.")),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned().problem(&TASK_CLOSED))))
)]
async fn delete(Path(_id): Path<Uuid>) -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Ends the session
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "session", operation_id = "endSession",
    responses((status = NO_CONTENT, description = "Nobody is signed in.")),
    extensions(("x-rules" = json!(Rules::person().without_key())))
)]
async fn end_session() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Says the time
#[utoipa::path(
    get, path = "/api/v1/time", tag = "time", operation_id = "showTime",
    responses((status = OK, description = "Now.", body = String, content_type = "text/plain", example = "12:00")),
    extensions(("x-rules" = json!(Rules::public().unlimited())))
)]
async fn time() -> StatusCode {
    StatusCode::OK
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Tasks", version = "1.0.0", description = "An API of `tasks`."),
    tags(
        (name = "tasks", description = "What is to be done."),
        (name = "session", description = "Who is signed in."),
        (name = "time", description = "What time it is.")
    )
)]
struct Sample;

/// What its handlers say, with the codes that they answer.
pub(super) fn collected() -> (utoipa::openapi::OpenApi, Registry) {
    let router: OpenApiRouter = OpenApiRouter::with_openapi(Sample::openapi())
        .routes(routes!(list, create))
        .routes(routes!(show, delete))
        .routes(routes!(end_session))
        .routes(routes!(time));
    (router.into_openapi(), Registry::new(&[&TASK_CLOSED]).expect("codes"))
}

/// The finished document.
pub(super) fn document() -> Document {
    let (collected, registry) = collected();
    Document::new(&collected, &registry).expect("a document")
}
