//! `POST /api/v1/tasks`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::{Unit, WriteRequest};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{State, Task, WRITE, columns};
use crate::events;
use crate::state::App;
use foundation::text::{Day, Line, Prose};

/// Only into a project that there is: of another organization's there is none.
const INSERT: &str = concat!(
    "INSERT INTO tasks (id, organization_id, project_id, title, description, state, due_on, created_at, created_by, \
     updated_at) \
     SELECT $1, organization_id, id, $4, $5, $6, $7, $8, $9, $8 FROM projects \
     WHERE organization_id = $2 AND id = $3 AND deleted_at IS NULL RETURNING ",
    columns!()
);

/// A task to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewTask {
    /// The project that it belongs to.
    pub project_id: Uuid,
    /// In a few words.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Water the plants")]
    pub title: Line<200>,
    /// All there is to know.
    #[serde(default)]
    #[schema(value_type = String, max_length = 10000, example = "Twice a week.")]
    pub description: Prose<10_000>,
    /// Where it stands.
    #[serde(default = "open")]
    #[schema(default = "open")]
    pub state: State,
    /// By when it should be done.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date, example = "2026-12-24")]
    pub due_on: Option<Day>,
}

fn open() -> State {
    State::Open
}

/// Makes a task
#[utoipa::path(
    post, path = "/api/v1/tasks", tag = "tasks", operation_id = "createTask", request_body = NewTask,
    responses((status = CREATED, body = Task)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned().problem(&codes::NOT_FOUND))))
)]
pub async fn create(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let new: NewTask = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            let task = insert(unit, &actor, new).await?;
            Ok(task.answer(StatusCode::CREATED)?.located(&format!("/api/v1/tasks/{}", task.id)))
        })
        .await
}

/// Makes the task within a write.
///
/// # Errors
/// A problem `not-found` where there is no such project, or one of the database.
pub async fn insert(unit: &mut Unit, actor: &Actor, new: NewTask) -> Result<Task, Problem> {
    actor.require_resource(new.project_id)?;
    let organization = actor.organization_or_refuse()?;
    let rows = unit
        .transaction
        .query(
            INSERT,
            &[
                &unit.new_id(),
                &organization,
                &new.project_id,
                &new.title.as_str(),
                &new.description.as_str(),
                &new.state.as_str(),
                &new.due_on.map(Day::date),
                &unit.now(),
                &actor.id(),
            ],
        )
        .await?;
    let task = rows.first().map(Task::read).ok_or_else(|| {
        Problem::new(&codes::NOT_FOUND).error("/project_id", "unknown", "There is no such project.")
    })?;
    unit.audit(
        Event::new("task.create", "task")
            .of(task.id)
            .changed("project_id", (), task.project_id.to_string())
            .changed("title", (), task.title.as_str())
            .changed("state", (), task.state.as_str()),
    );
    events::announce(unit, organization, "task.created", &task.summary())?;
    Ok(task)
}
