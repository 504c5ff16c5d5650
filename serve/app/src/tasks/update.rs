//! `PATCH /api/v1/tasks/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::etag::{self, Condition};
use foundation::extract::{Path, given, patched};
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::{Unit, WriteRequest};
use serde::Deserialize;
use time::Date;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{State, Task, WRITE, columns, project_is_there};
use crate::events;
use crate::state::App;
use foundation::text::{Day, Line, Prose};

const LOCK: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tasks WHERE organization_id = $1 AND id = $2 AND ",
    project_is_there!(),
    " FOR UPDATE"
);
const UPDATE: &str = concat!(
    "UPDATE tasks SET title = $3, description = $4, state = $5, due_on = $6, version = version + 1, updated_at = $7 \
     WHERE organization_id = $1 AND id = $2 RETURNING ",
    columns!()
);

/// What is to be changed; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TaskChange {
    /// In a few words.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Water the plants", required = false)]
    pub title: Option<Line<200>>,
    /// All there is to know.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, max_length = 10000, example = "Twice a week.", required = false)]
    pub description: Option<Prose<10_000>>,
    /// Where it stands.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = State, required = false)]
    pub state: Option<State>,
    /// By when it should be done; `null` for no day.
    #[serde(default, deserialize_with = "patched")]
    #[schema(value_type = Option<String>, format = Date, example = "2026-12-24")]
    pub due_on: Option<Option<Day>>,
}

/// Changes a task
#[utoipa::path(
    patch, path = "/api/v1/tasks/{id}", tag = "tasks", operation_id = "updateTask", request_body = TaskChange,
    params(("id" = Uuid, Path, description = "The task's id.")),
    responses((status = OK, body = Task)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned())))
)]
pub async fn update(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let condition = etag::required_if_match(&headers)?;
    let change: TaskChange = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(unit, &actor, id, &condition, change).await?.answer(StatusCode::OK)
        })
        .await
}

/// Changes the task within a write.
///
/// # Errors
/// A problem `not-found` or `precondition-failed`, or one of the database.
pub async fn apply(
    unit: &mut Unit,
    actor: &Actor,
    id: Uuid,
    condition: &Condition,
    change: TaskChange,
) -> Result<Task, Problem> {
    let organization = actor.organization_or_refuse()?;
    let before = lock(unit, actor, id).await?;
    if before.deleted_at.is_some() {
        return Err(Problem::new(&codes::NOT_FOUND).detail("The task was deleted; restore it first."));
    }
    etag::check(Some(condition), &before.etag())?;
    let title = change.title.map_or_else(|| before.title.clone(), Line::into_string);
    let description = change.description.map_or_else(|| before.description.clone(), Prose::into_string);
    let state = change.state.unwrap_or(before.state);
    let due_on = change.due_on.map_or(before.due_on, |day| day.map(Day::date));
    let now = unit.now();
    let rows = unit
        .transaction
        .query(UPDATE, &[&organization, &id, &title, &description, &state.as_str(), &due_on, &now])
        .await?;
    let task = rows.first().map(Task::read).ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    unit.audit(changes(Event::new("task.update", "task").of(id), &before, &task));
    events::announce(unit, organization, "task.updated", &task.summary())?;
    Ok(task)
}

/// The task as it is, which nobody else changes until the write ends.
///
/// # Errors
/// A problem `not-found`, or one of the database.
pub(super) async fn lock(unit: &mut Unit, actor: &Actor, id: Uuid) -> Result<Task, Problem> {
    let organization = actor.organization_or_refuse()?;
    let rows = unit.transaction.query(LOCK, &[&organization, &id]).await?;
    let task = rows.first().map(Task::read);
    task.filter(|task| actor.may_touch(&[task.project_id, task.id]))
        .ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("There is no such task."))
}

fn changes(mut event: Event, before: &Task, after: &Task) -> Event {
    let day = |day: Option<Date>| day.map(|day| day.to_string());
    let fields = [
        ("title", Some(before.title.clone()), Some(after.title.clone())),
        ("description", Some(before.description.clone()), Some(after.description.clone())),
        ("state", Some(before.state.as_str().to_owned()), Some(after.state.as_str().to_owned())),
        ("due_on", day(before.due_on), day(after.due_on)),
    ];
    for (field, before, after) in fields {
        if before != after {
            event = event.changed(field, before, after);
        }
    }
    event
}
