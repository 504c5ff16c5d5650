//! `POST /api/v1/organizations/{id}/restorations`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::{Actor, Person};
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::{Place, Unit, WriteRequest};
use uuid::Uuid;

use super::{Organization, absent, columns};
use crate::state::App;

/// As its owner finds it, and nobody else.
const FIND: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM organizations WHERE id = $1 AND (deleted_at IS NULL OR deleted_at > now() - restore_window()) \
     AND EXISTS (SELECT FROM memberships WHERE organization_id = $1 AND person_id = $2 AND role = 'owner') \
     FOR NO KEY UPDATE"
);
const RESTORE: &str = concat!(
    "UPDATE organizations SET deleted_at = NULL, updated_at = $2, version = version + 1 WHERE id = $1 RETURNING ",
    columns!()
);

/// Restores an organization that was deleted
///
/// Its owners can do this for 30 days, wherever they work now; nobody else finds it. One that was not deleted is answered
/// as it is.
#[utoipa::path(
    post, path = "/api/v1/organizations/{id}/restorations", tag = "organizations",
    operation_id = "restoreOrganization",
    params(("id" = Uuid, Path, description = "The organization's id.")),
    responses((status = OK, body = Organization)),
    extensions(("x-rules" = json!(Rules::person().versioned())))
)]
pub async fn restore(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    let person = actor.person_or_refuse()?;
    app.writes
        .perform_in(Place::Other(id), &actor, &request, async |unit| {
            apply(unit, person, id).await?.answer(StatusCode::OK)
        })
        .await
}

/// Restores the organization within a write within it. A role in it gives no scopes while it is deleted, so that the
/// person is its owner is found out here, before anything else is.
///
/// # Errors
/// A problem `not-found`, or one of the database.
pub async fn apply(unit: &mut Unit, person: &Person, id: Uuid) -> Result<Organization, Problem> {
    let rows = unit.transaction.query(FIND, &[&id, &person.id]).await?;
    let organization = rows.first().map(Organization::read).ok_or_else(absent)?;
    if organization.deleted_at.is_none() {
        return Ok(organization);
    }
    let now = unit.now();
    let rows = unit.transaction.query(RESTORE, &[&id, &now]).await?;
    let organization = rows.first().map(Organization::read).ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    unit.audit(Event::new("organization.restore", "organization").of(id));
    Ok(organization)
}
