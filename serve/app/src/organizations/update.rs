//! `PATCH /api/v1/organizations/{id}`

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

use super::{Organization, WRITE, columns, current, lock};
use crate::state::App;
use foundation::text::Line;

const UPDATE: &str = concat!(
    "UPDATE organizations SET name = $2, version = version + 1, updated_at = $3 WHERE id = $1 RETURNING ",
    columns!()
);

/// What is to be changed; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub struct OrganizationChange {
    /// What people call it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, min_length = 1, max_length = 100, example = "Gardeners", required = false)]
    pub name: Option<Line<100>>,
}

/// Changes an organization
#[utoipa::path(
    patch, path = "/api/v1/organizations/{id}", tag = "organizations", operation_id = "updateOrganization",
    request_body = OrganizationChange,
    params(("id" = Uuid, Path, description = "The organization's id.")),
    responses((status = OK, body = Organization)),
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
    let change: OrganizationChange = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(unit, &actor, id, &condition, change).await?.answer(StatusCode::OK)
        })
        .await
}

/// Changes the organization within a write.
///
/// # Errors
/// A problem `not-found` or `precondition-failed`, or one of the database.
pub async fn apply(
    unit: &mut Unit,
    actor: &Actor,
    id: Uuid,
    condition: &Condition,
    change: OrganizationChange,
) -> Result<Organization, Problem> {
    let before = lock(unit, current(actor, id)?).await?;
    etag::check(Some(condition), &before.etag())?;
    let name = change.name.map_or_else(|| before.name.clone(), Line::into_string);
    let now = unit.now();
    let rows = unit.transaction.query(UPDATE, &[&id, &name, &now]).await?;
    let organization = rows.first().map(Organization::read).ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    let mut event = Event::new("organization.update", "organization").of(id);
    if before.name != name {
        event = event.changed("name", before.name, name);
    }
    unit.audit(event);
    Ok(organization)
}
