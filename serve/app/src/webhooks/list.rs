//! `GET /api/v1/webhooks`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;
use foundation::auth::actor::Actor;
use foundation::extract::Query;
use foundation::openapi::Rules;
use foundation::page::{Page, PageRequest};
use foundation::problem::Problem;
use foundation::request::RequestContext;
use foundation::write::transaction::Transaction;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{READ, Webhook, columns};
use crate::state::App;

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM webhook_endpoints WHERE organization_id = $1 AND ($2::uuid[] IS NULL OR id = ANY ($2)) \
     AND ($3::timestamptz IS NULL OR (created_at, id) > ($3, $4)) ORDER BY created_at, id LIMIT $5"
);

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
    let (at, id) = page.after().map(|after| (after.at, after.id)).unzip();
    let rows = Transaction::read(
        &app.stores.database,
        Some(organization),
        &context.request_id,
        LIST,
        &[&organization, &actor.restriction(), &at, &id, &page.rows_to_fetch()],
    )
    .await?;
    let webhooks = rows.iter().map(Webhook::read).collect();
    Ok(Page::new(webhooks, &page, Webhook::position, &app.cursors, &list))
}
