//! `DELETE /api/v1/organizations/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::etag::{self, Condition};
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::Problem;
use foundation::write::idempotency::Answer;
use foundation::write::{Unit, WriteRequest};
use uuid::Uuid;

use super::{WRITE, current, lock};
use crate::state::App;

/// The moment is the server's own, whatever is written here.
const DELETE: &str =
    "UPDATE organizations SET deleted_at = $2, updated_at = $2, version = version + 1 WHERE id = $1";

/// Deletes an organization
///
/// People alone do this. From then on it is there for nobody, and its tokens are good for nothing; its owners can
/// restore it for 30 days. Then it is removed, with all that belongs to it.
#[utoipa::path(
    delete, path = "/api/v1/organizations/{id}", tag = "organizations", operation_id = "deleteOrganization",
    params(("id" = Uuid, Path, description = "The organization's id.")),
    responses((status = NO_CONTENT, description = "It is deleted.")),
    extensions(("x-rules" = json!(Rules::person().and_scope(&WRITE).versioned())))
)]
pub async fn delete(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.person_or_refuse()?;
    actor.require(&WRITE)?;
    let condition = etag::required_if_match(&headers)?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(unit, &actor, id, &condition).await?;
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        })
        .await
}

/// Deletes the organization within a write.
///
/// # Errors
/// A problem `not-found` or `precondition-failed`, or one of the database.
pub async fn apply(unit: &mut Unit, actor: &Actor, id: Uuid, condition: &Condition) -> Result<(), Problem> {
    let organization = lock(unit, current(actor, id)?).await?;
    etag::check(Some(condition), &organization.etag())?;
    let now = unit.now();
    unit.transaction.later(DELETE, vec![Box::new(id), Box::new(now)]);
    unit.audit(Event::new("organization.delete", "organization").of(id));
    Ok(())
}
