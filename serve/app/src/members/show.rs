//! `GET /api/v1/organizations/{id}/members/{person_id}`

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

use super::{FIND, Member, READ, absent};
use crate::organizations::current;
use crate::state::App;

/// Shows a member
#[utoipa::path(
    get, path = "/api/v1/organizations/{id}/members/{person_id}", tag = "members", operation_id = "showMember",
    params(
        ("id" = Uuid, Path, description = "The organization's id."),
        ("person_id" = Uuid, Path, description = "The person's id.")
    ),
    responses((status = OK, body = Member)),
    extensions(("x-rules" = json!(Rules::scope(&READ).versioned())))
)]
pub async fn show(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    headers: HeaderMap,
    Path((organization, person)): Path<(Uuid, Uuid)>,
) -> Result<Response, Problem> {
    let member = find(&app, &actor, &context, organization, person).await?;
    let tag = member.etag();
    Ok(match etag::not_modified(&headers, &tag)? {
        Some(known) => known,
        None => tag.on(Json(member)),
    })
}

/// The member, if the actor may see it.
///
/// # Errors
/// A problem `insufficient-scope` or `not-found`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    organization: Uuid,
    person: Uuid,
) -> Result<Member, Problem> {
    actor.require(&READ)?;
    let organization = current(actor, organization)?;
    let (database, name) = (&app.stores.database, &context.request_id);
    let rows = Transaction::read(database, Some(organization), name, FIND, &[&organization, &person]).await?;
    rows.first().map(Member::read).ok_or_else(absent)
}
