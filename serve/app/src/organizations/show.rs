//! `GET /api/v1/organizations/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::Response;
use foundation::auth::actor::Actor;
use foundation::etag;
use foundation::extract::{Json, Path};
use foundation::openapi::Rules;
use foundation::problem::Problem;
use foundation::request::RequestContext;
use foundation::write::transaction::Transaction;
use uuid::Uuid;

use super::{Organization, READ, absent, columns, current};
use crate::state::App;

pub(super) const FIND: &str =
    concat!("SELECT ", columns!(), " FROM organizations WHERE id = $1 AND deleted_at IS NULL");

/// Shows an organization
///
/// Only the one in which you work is there.
#[utoipa::path(
    get, path = "/api/v1/organizations/{id}", tag = "organizations", operation_id = "showOrganization",
    params(("id" = Uuid, Path, description = "The organization's id.")),
    responses((status = OK, body = Organization)),
    extensions(("x-rules" = json!(Rules::scope(&READ).versioned())))
)]
pub async fn show(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    let organization = find(&app, &actor, &context, id).await?;
    let tag = organization.etag();
    Ok(match etag::not_modified(&headers, &tag)? {
        Some(known) => known,
        None => tag.on(Json(organization)),
    })
}

/// The organization, if the actor works in it.
///
/// # Errors
/// A problem `insufficient-scope` or `not-found`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    id: Uuid,
) -> Result<Organization, Problem> {
    actor.require(&READ)?;
    let id = current(actor, id)?;
    let rows = Transaction::read(&app.stores.database, Some(id), &context.request_id, FIND, &[&id]).await?;
    rows.first().map(Organization::read).ok_or_else(absent)
}
