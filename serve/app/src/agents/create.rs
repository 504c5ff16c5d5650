//! `POST /api/v1/agents`

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

use super::{Agent, WRITE, columns};
use crate::codes::QUOTA_REACHED;
use crate::quota::Quota;
use crate::state::App;
use foundation::text::{Line, Prose};

const QUOTA: Quota =
    Quota { what: "agents", most: 200, count: "SELECT count(*) FROM agents WHERE organization_id = $1" };
const INSERT: &str = concat!(
    "INSERT INTO agents (id, organization_id, name, description, created_at, created_by, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $5) RETURNING ",
    columns!()
);

/// An agent to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewAgent {
    /// What people call it.
    #[schema(value_type = String, min_length = 1, max_length = 100, example = "Release bot")]
    pub name: Line<100>,
    /// What it is for.
    #[serde(default)]
    #[schema(value_type = String, max_length = 10000, example = "Opens a task for each release.")]
    pub description: Prose<10_000>,
}

/// Makes an agent
///
/// It can do nothing before it has a token.
#[utoipa::path(
    post, path = "/api/v1/agents", tag = "agents", operation_id = "createAgent", request_body = NewAgent,
    responses((status = CREATED, body = Agent)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned().problem(&QUOTA_REACHED))))
)]
pub async fn create(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let new: NewAgent = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            let agent = insert(unit, &actor, new).await?;
            Ok(agent.answer(StatusCode::CREATED)?.located(&format!("/api/v1/agents/{}", agent.id)))
        })
        .await
}

/// Makes the agent within a write.
///
/// # Errors
/// A problem `insufficient-scope` for a token that is restricted to certain resources, `quota-reached`, or one of the
/// database.
pub async fn insert(unit: &mut Unit, actor: &Actor, new: NewAgent) -> Result<Agent, Problem> {
    actor.require_unrestricted(&WRITE)?;
    let organization = actor.organization_or_refuse()?;
    QUOTA.require_room(unit, organization).await?;
    let (id, now) = (unit.new_id(), unit.now());
    let (name, description) = (new.name.as_str(), new.description.as_str());
    let rows =
        unit.transaction.query(INSERT, &[&id, &organization, &name, &description, &now, &actor.id()]).await?;
    let agent = rows.first().map(Agent::read).ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    unit.audit(Event::new("agent.create", "agent").of(id).changed("name", (), name));
    Ok(agent)
}
