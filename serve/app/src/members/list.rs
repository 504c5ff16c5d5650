//! `GET /api/v1/organizations/{id}/members`

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

use super::{Member, READ, selected};
use crate::organizations::current;
use crate::role::Role;
use crate::state::App;

const LIST: &str = concat!(
    selected!(),
    " AND ($2::text IS NULL OR m.role = $2) \
     AND ($3::timestamptz IS NULL OR (m.created_at, m.person_id) > ($3, $4)) \
     ORDER BY m.created_at, m.person_id LIMIT $5"
);

/// Which members.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those with this role.
    pub role: Option<Role>,
    pub limit: Option<String>,
    pub cursor: Option<String>,
}

/// Lists members
///
/// Those who have belonged to the organization for longest come first.
#[utoipa::path(
    get, path = "/api/v1/organizations/{id}/members", tag = "members", operation_id = "listMembers",
    params(("id" = Uuid, Path, description = "The organization's id."), Filter),
    responses((status = OK, description = "A page of members.", body = Page<Member>)),
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

/// The page of members.
///
/// # Errors
/// A problem `insufficient-scope`, `not-found`, `bad-limit` or `bad-cursor`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    organization: Uuid,
    filter: &Filter,
) -> Result<Page<Member>, Problem> {
    actor.require(&READ)?;
    let organization = current(actor, organization)?;
    let role = filter.role.map(Role::as_str);
    let list = format!("members {organization} {role:?}");
    let page = PageRequest::read(filter.limit.as_deref(), filter.cursor.as_deref(), &app.cursors, &list)?;
    let (at, id) = page.after().map(|after| (after.at, after.id)).unzip();
    let rows = Transaction::read(
        &app.stores.database,
        Some(organization),
        &context.request_id,
        LIST,
        &[&organization, &role, &at, &id, &page.rows_to_fetch()],
    )
    .await?;
    let members = rows.iter().map(Member::read).collect();
    Ok(Page::new(members, &page, Member::position, &app.cursors, &list))
}
