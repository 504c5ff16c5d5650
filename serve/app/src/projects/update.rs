//! `PATCH /api/v1/projects/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::etag::{self, Condition};
use foundation::extract::{Path, given};
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::{Unit, WriteRequest};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Project, WRITE, columns};
use crate::events;
use crate::state::App;
use foundation::text::{Line, Prose};

const LOCK: &str =
    concat!("SELECT ", columns!(), " FROM projects WHERE organization_id = $1 AND id = $2 FOR UPDATE");
const UPDATE: &str = concat!(
    "UPDATE projects SET name = $3, description = $4, version = version + 1, updated_at = $5 \
     WHERE organization_id = $1 AND id = $2 RETURNING ",
    columns!()
);

/// What is to be changed; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ProjectChange {
    /// What people call it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, min_length = 1, max_length = 100, example = "Garden", required = false)]
    pub name: Option<Line<100>>,
    /// What it is for.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, max_length = 10000, example = "Everything green.", required = false)]
    pub description: Option<Prose<10_000>>,
}

/// Changes a project
#[utoipa::path(
    patch, path = "/api/v1/projects/{id}", tag = "projects", operation_id = "updateProject", request_body = ProjectChange,
    params(("id" = Uuid, Path, description = "The project's id.")),
    responses((status = OK, body = Project)),
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
    let change: ProjectChange = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(unit, &actor, id, &condition, change).await?.answer(StatusCode::OK)
        })
        .await
}

/// Changes the project within a write.
///
/// # Errors
/// A problem `not-found` or `precondition-failed`, or one of the database.
pub async fn apply(
    unit: &mut Unit,
    actor: &Actor,
    id: Uuid,
    condition: &Condition,
    change: ProjectChange,
) -> Result<Project, Problem> {
    let organization = actor.organization_or_refuse()?;
    let before = lock(unit, actor, id).await?;
    if before.deleted_at.is_some() {
        return Err(Problem::new(&codes::NOT_FOUND).detail("The project was deleted; restore it first."));
    }
    etag::check(Some(condition), &before.etag())?;
    let name = change.name.map_or_else(|| before.name.clone(), Line::into_string);
    let description = change.description.map_or_else(|| before.description.clone(), Prose::into_string);
    let now = unit.now();
    let rows = unit.transaction.query(UPDATE, &[&organization, &id, &name, &description, &now]).await?;
    let project = rows.first().map(Project::read).ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    unit.audit(changes(Event::new("project.update", "project").of(id), &before, &project));
    events::announce(unit, organization, "project.updated", &project.summary())?;
    Ok(project)
}

/// The project as it is, which nobody else changes until the write ends.
///
/// # Errors
/// A problem `not-found`, or one of the database.
pub(super) async fn lock(unit: &mut Unit, actor: &Actor, id: Uuid) -> Result<Project, Problem> {
    let organization = actor.organization_or_refuse()?;
    let rows = unit.transaction.query(LOCK, &[&organization, &id]).await?;
    let project = rows.first().map(Project::read);
    project
        .filter(|project| actor.may_touch(&[project.id]))
        .ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("There is no such project."))
}

fn changes(mut event: Event, before: &Project, after: &Project) -> Event {
    let fields = [
        ("name", before.name.as_str(), after.name.as_str()),
        ("description", &before.description, &after.description),
    ];
    for (field, before, after) in fields {
        if before != after {
            event = event.changed(field, before, after);
        }
    }
    event
}
