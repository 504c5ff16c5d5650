//! `GET /api/v1/webhooks`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;
use foundation::auth::actor::Actor;
use foundation::extract::Query;
use foundation::openapi::Rules;
use foundation::page::list::List;
use foundation::page::{Page, PageRequest};
use foundation::problem::Problem;
use foundation::request::RequestContext;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{READ, Webhook, columns};
use crate::state::App;

const SELECT: &str = concat!("SELECT ", columns!(), " FROM webhook_endpoints");

/// Which webhooks.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    pub limit: Option<String>,
    pub cursor: Option<String>,
}

/// Lists webhooks
///
/// The oldest come first.
#[utoipa::path(
    get, path = "/api/v1/webhooks", tag = "webhooks", operation_id = "listWebhooks", params(Filter),
    responses((status = OK, description = "A page of webhooks.", body = Page<Webhook>)),
    extensions(("x-rules" = json!(Rules::scope(&READ).paged())))
)]
pub async fn list(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    uri: Uri,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    Ok(find(&app, &actor, &context, &filter).await?.answer(&uri))
}

/// The page of webhooks.
///
/// # Errors
/// A problem `insufficient-scope`, `bad-limit` or `bad-cursor`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    filter: &Filter,
) -> Result<Page<Webhook>, Problem> {
    actor.require(&READ)?;
    let organization = actor.organization_or_refuse()?;
    let list = format!("webhooks {organization}");
    let page = PageRequest::read(filter.limit.as_deref(), filter.cursor.as_deref(), &app.cursors, &list)?;
    let rows = List::of(SELECT, organization)
        .with_some("id = ANY ($)", actor.restriction())
        .read(&app.stores.database, &context.request_id, &page)
        .await?;
    let webhooks = rows.iter().map(Webhook::read).collect();
    Ok(Page::new(webhooks, &page, Webhook::position, &app.cursors, &list))
}
