//! `PATCH /api/v1/agents/{id}`

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

use super::{Agent, WRITE, columns};
use crate::state::App;
use foundation::text::{Line, Prose};

const LOCK: &str =
    concat!("SELECT ", columns!(), " FROM agents WHERE organization_id = $1 AND id = $2 FOR UPDATE");
const UPDATE: &str = concat!(
    "UPDATE agents SET name = $3, description = $4, version = version + 1, updated_at = $5 \
     WHERE organization_id = $1 AND id = $2 RETURNING ",
    columns!()
);

/// What is to be changed; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AgentChange {
    /// What people call it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, min_length = 1, max_length = 100, example = "Release bot", required = false)]
    pub name: Option<Line<100>>,
    /// What it is for.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, max_length = 10000, example = "Opens a task for each release.", required = false)]
    pub description: Option<Prose<10_000>>,
}

/// Changes an agent
#[utoipa::path(
    patch, path = "/api/v1/agents/{id}", tag = "agents", operation_id = "updateAgent", request_body = AgentChange,
    params(("id" = Uuid, Path, description = "The agent's id.")),
    responses((status = OK, body = Agent)),
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
    let change: AgentChange = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(unit, &actor, id, &condition, change).await?.answer(StatusCode::OK)
        })
        .await
}

/// Changes the agent within a write.
///
/// # Errors
/// A problem `not-found` or `precondition-failed`, or one of the database.
pub async fn apply(
    unit: &mut Unit,
    actor: &Actor,
    id: Uuid,
    condition: &Condition,
    change: AgentChange,
) -> Result<Agent, Problem> {
    let organization = actor.organization_or_refuse()?;
    let before = lock(unit, actor, id).await?;
    etag::check(Some(condition), &before.etag())?;
    let name = change.name.map_or_else(|| before.name.clone(), Line::into_string);
    let description = change.description.map_or_else(|| before.description.clone(), Prose::into_string);
    let now = unit.now();
    let rows = unit.transaction.query(UPDATE, &[&organization, &id, &name, &description, &now]).await?;
    let agent = rows.first().map(Agent::read).ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    let mut event = Event::new("agent.update", "agent").of(id);
    for (field, before, after) in
        [("name", before.name, &agent.name), ("description", before.description, &agent.description)]
    {
        if before != *after {
            event = event.changed(field, before, after.as_str());
        }
    }
    unit.audit(event);
    Ok(agent)
}

/// The agent as it is, which nobody else changes or deletes until the write ends.
///
/// # Errors
/// A problem `not-found`, or one of the database.
pub(crate) async fn lock(unit: &mut Unit, actor: &Actor, id: Uuid) -> Result<Agent, Problem> {
    let organization = actor.organization_or_refuse()?;
    let rows = unit.transaction.query(LOCK, &[&organization, &id]).await?;
    let agent = rows.first().map(Agent::read);
    agent
        .filter(|agent| actor.may_touch(&[agent.id]))
        .ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("There is no such agent."))
}
