//! `POST /api/v1/projects`

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

use super::{Project, WRITE, columns};
use crate::events;
use crate::state::App;
use foundation::text::{Line, Prose};

const INSERT: &str = concat!(
    "INSERT INTO projects (id, organization_id, name, description, created_at, created_by, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $5) RETURNING ",
    columns!()
);

/// A project to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewProject {
    /// What people call it.
    #[schema(value_type = String, min_length = 1, max_length = 100, example = "Garden")]
    pub name: Line<100>,
    /// What it is for.
    #[serde(default)]
    #[schema(value_type = String, max_length = 10000, example = "Everything green.")]
    pub description: Prose<10_000>,
}

/// Makes a project
#[utoipa::path(
    post, path = "/api/v1/projects", tag = "projects", operation_id = "createProject", request_body = NewProject,
    responses((status = CREATED, body = Project)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned())))
)]
pub async fn create(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let new: NewProject = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            let project = insert(unit, &actor, new).await?;
            Ok(project.answer(StatusCode::CREATED)?.located(&format!("/api/v1/projects/{}", project.id)))
        })
        .await
}

/// Makes the project within a write. A token that is restricted to certain resources makes none.
///
/// # Errors
/// A problem `insufficient-scope` for such a token, or one of the database.
pub async fn insert(unit: &mut Unit, actor: &Actor, new: NewProject) -> Result<Project, Problem> {
    actor.require_unrestricted(&WRITE)?;
    let organization = actor.organization_or_refuse()?;
    let (id, now) = (unit.new_id(), unit.now());
    let (name, description) = (new.name.as_str(), new.description.as_str());
    let rows =
        unit.transaction.query(INSERT, &[&id, &organization, &name, &description, &now, &actor.id()]).await?;
    let project = rows.first().map(Project::read).ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    unit.audit(Event::new("project.create", "project").of(id).changed("name", (), name));
    events::announce(unit, organization, "project.created", &project.summary())?;
    Ok(project)
}
