//! `GET /api/v1/organizations/{id}/invitations`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;
use foundation::auth::actor::Actor;
use foundation::extract::{Path, Query};
use foundation::openapi::Rules;
use foundation::page::{Page, PageRequest};
use foundation::problem::Problem;
use foundation::request::RequestContext;
use foundation::write::transaction::Transaction;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{Invitation, State, columns, state};
use crate::members::READ;
use crate::organizations::current;
use crate::state::App;

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM invitations WHERE organization_id = $1 AND ($2::text IS NULL OR ",
    state!(),
    " = $2) AND ($3::timestamptz IS NULL OR (created_at, id) > ($3, $4)) ORDER BY created_at, id LIMIT $5"
);

/// Which invitations.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those of which this became.
    pub state: Option<State>,
    pub limit: Option<String>,
    pub cursor: Option<String>,
}

/// Lists invitations
///
/// The oldest come first. Their links are not shown again.
#[utoipa::path(
    get, path = "/api/v1/organizations/{id}/invitations", tag = "members", operation_id = "listInvitations",
    params(("id" = Uuid, Path, description = "The organization's id."), Filter),
    responses((status = OK, description = "A page of invitations.", body = Page<Invitation>)),
    extensions(("x-rules" = json!(Rules::scope(&READ).paged())))
)]
pub async fn list(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    uri: Uri,
    Path(organization): Path<Uuid>,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    Ok(find(&app, &actor, &context, organization, &filter).await?.answer(&uri))
}

/// The page of invitations.
///
/// # Errors
/// A problem `insufficient-scope`, `not-found`, `bad-limit` or `bad-cursor`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    organization: Uuid,
    filter: &Filter,
) -> Result<Page<Invitation>, Problem> {
    actor.require(&READ)?;
    let organization = current(actor, organization)?;
    let state = filter.state.map(State::as_str);
    let list = format!("invitations {organization} {state:?}");
    let page = PageRequest::read(filter.limit.as_deref(), filter.cursor.as_deref(), &app.cursors, &list)?;
    let (at, id) = page.after().map(|after| (after.at, after.id)).unzip();
    let rows = Transaction::read(
        &app.stores.database,
        Some(organization),
        &context.request_id,
        LIST,
        &[&organization, &state, &at, &id, &page.rows_to_fetch()],
    )
    .await?;
    let invitations = rows.iter().map(Invitation::read).collect();
    Ok(Page::new(invitations, &page, Invitation::position, &app.cursors, &list))
}
