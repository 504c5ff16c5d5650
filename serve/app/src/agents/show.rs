//! `GET /api/v1/agents/{id}`

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

use super::{Agent, READ, columns};
use crate::state::App;

const FIND: &str = concat!("SELECT ", columns!(), " FROM agents WHERE organization_id = $1 AND id = $2");

/// Shows an agent
#[utoipa::path(
    get, path = "/api/v1/agents/{id}", tag = "agents", operation_id = "showAgent",
    params(("id" = Uuid, Path, description = "The agent's id.")),
    responses((status = OK, body = Agent)),
    extensions(("x-rules" = json!(Rules::scope(&READ).versioned())))
)]
pub async fn show(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    let agent = find(&app, &actor, &context, id).await?;
    let tag = agent.etag();
    Ok(match etag::not_modified(&headers, &tag)? {
        Some(known) => known,
        None => tag.on(Json(agent)),
    })
}

/// The agent, if the actor may see it.
///
/// # Errors
/// A problem `insufficient-scope` or `not-found`, or one of the database.
pub async fn find(app: &App, actor: &Actor, context: &RequestContext, id: Uuid) -> Result<Agent, Problem> {
    actor.require(&READ)?;
    let organization = actor.organization_or_refuse()?;
    let (database, name) = (&app.stores.database, &context.request_id);
    let rows = Transaction::read(database, Some(organization), name, FIND, &[&organization, &id]).await?;
    let agent = rows.first().map(Agent::read);
    agent
        .filter(|agent| actor.may_touch(&[agent.id]))
        .ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("There is no such agent."))
}
