//! `DELETE /api/v1/agents/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::auth::token_store;
use foundation::etag::{self, Condition};
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::Problem;
use foundation::write::idempotency::Answer;
use foundation::write::{Unit, WriteRequest};
use uuid::Uuid;

use super::{WRITE, update};
use crate::state::App;
use crate::{invitations, tokens};

const DELETE: &str = "DELETE FROM agents WHERE organization_id = $1 AND id = $2";

/// Deletes an agent
///
/// Its tokens end with it, and all that were minted by them: here at once, and everywhere within a second. What it invited
/// to and nobody accepted yet is revoked. It cannot be restored.
#[utoipa::path(
    delete, path = "/api/v1/agents/{id}", tag = "agents", operation_id = "deleteAgent",
    params(("id" = Uuid, Path, description = "The agent's id.")),
    responses((status = NO_CONTENT, description = "It is deleted.")),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned())))
)]
pub async fn delete(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let condition = etag::required_if_match(&headers)?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(&app, unit, &actor, id, &condition).await?;
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        })
        .await
}

/// Deletes the agent within a write.
///
/// # Errors
/// A problem `not-found` or `precondition-failed`, or one of the database.
pub async fn apply(
    app: &App,
    unit: &mut Unit,
    actor: &Actor,
    id: Uuid,
    condition: &Condition,
) -> Result<(), Problem> {
    let organization = actor.organization_or_refuse()?;
    let agent = update::lock(unit, actor, id).await?;
    etag::check(Some(condition), &agent.etag())?;
    let ended = token_store::revoke_of_agent(unit, organization, id).await?;
    invitations::delete::revoke_above(unit, id, None);
    unit.transaction.later(DELETE, vec![Box::new(organization), Box::new(id)]);
    unit.audit(Event::new("agent.delete", "agent").of(id).changed("name", agent.name, ()).changed(
        "tokens",
        ended.len(),
        0,
    ));
    tokens::forget_when_committed(app, unit, ended);
    Ok(())
}
