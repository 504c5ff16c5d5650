//! `GET /api/v1/organizations/{id}/invitations/{invitation_id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use foundation::auth::actor::Actor;
use foundation::extract::{Json, Path};
use foundation::openapi::Rules;
use foundation::problem::Problem;
use foundation::request::RequestContext;
use foundation::write::transaction::Transaction;
use uuid::Uuid;

use super::{Invitation, absent, columns};
use crate::members::READ;
use crate::organizations::current;
use crate::state::App;

const FIND: &str = concat!("SELECT ", columns!(), " FROM invitations WHERE organization_id = $1 AND id = $2");

/// Shows an invitation
///
/// Its link is not shown again.
#[utoipa::path(
    get, path = "/api/v1/organizations/{id}/invitations/{invitation_id}", tag = "members",
    operation_id = "showInvitation",
    params(
        ("id" = Uuid, Path, description = "The organization's id."),
        ("invitation_id" = Uuid, Path, description = "The invitation's id.")
    ),
    responses((status = OK, body = Invitation)),
    extensions(("x-rules" = json!(Rules::scope(&READ))))
)]
pub async fn show(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    Path((organization, id)): Path<(Uuid, Uuid)>,
) -> Result<Response, Problem> {
    Ok(Json(find(&app, &actor, &context, organization, id).await?).into_response())
}

/// The invitation, if the actor may see it.
///
/// # Errors
/// A problem `insufficient-scope` or `not-found`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    organization: Uuid,
    id: Uuid,
) -> Result<Invitation, Problem> {
    actor.require(&READ)?;
    let organization = current(actor, organization)?;
    let (database, name) = (&app.stores.database, &context.request_id);
    let rows = Transaction::read(database, Some(organization), name, FIND, &[&organization, &id]).await?;
    rows.first().map(Invitation::read).ok_or_else(absent)
}
