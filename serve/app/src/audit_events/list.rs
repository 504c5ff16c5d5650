//! `GET /api/v1/audit-events`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;
use foundation::audit::record::Record;
use foundation::audit::search::{Filter, View};
use foundation::auth::actor::Actor;
use foundation::extract::Queries;
use foundation::openapi::Rules;
use foundation::page::{Page, PageRequest, Paging};
use foundation::problem::Problem;
use foundation::request::RequestContext;

use super::READ;
use crate::state::App;

/// Searches the audit log
///
/// The newest events come first. A filter by the kind of resource alone, or by none of the others, is read along time:
/// name a time range where the log is long.
#[utoipa::path(
    get, path = "/api/v1/audit-events", tag = "audit", operation_id = "listAuditEvents", params(Filter),
    responses((status = OK, description = "A page of events.", body = Page<Record>)),
    extensions(("x-rules" = json!(Rules::scope(&READ).paged())))
)]
pub async fn list(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    uri: Uri,
    Queries(filter, paging): Queries<Filter, Paging>,
) -> Result<Response, Problem> {
    Ok(find(&app, &actor, &context, &filter, &paging).await?.answer(&uri))
}

/// The page of events.
///
/// # Errors
/// A problem `insufficient-scope`, `bad-limit` or `bad-cursor`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    filter: &Filter,
    paging: &Paging,
) -> Result<Page<Record>, Problem> {
    actor.require(&READ)?;
    let view = View::of(&app.stores.database, actor, context)?;
    let list = view.name(filter);
    let page = PageRequest::of(paging, &app.cursors, &list)?;
    let events = view.newest(filter, page.after(), page.rows_to_fetch()).await?;
    Ok(Page::new(events, &page, Record::place, &app.cursors, &list))
}
