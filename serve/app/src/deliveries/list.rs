//! `GET /api/v1/webhooks/{id}/deliveries`

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

use super::{Delivery, DeliveryState, READ, deliveries};
use crate::state::App;
use crate::webhooks;

const LIST: &str = concat!(
    deliveries!(),
    " WHERE delivery.organization_id = $1 AND delivery.endpoint_id = $2 \
     AND ($3::text IS NULL OR delivery.state = $3) \
     AND ($4::timestamptz IS NULL OR (delivery.created_at, delivery.id) < ($4, $5)) \
     ORDER BY delivery.created_at DESC, delivery.id DESC LIMIT $6"
);

/// Which deliveries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those that stand there.
    pub state: Option<DeliveryState>,
    pub limit: Option<String>,
    pub cursor: Option<String>,
}

/// Lists the deliveries to a webhook
///
/// The latest come first. They are kept for 30 days.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}/deliveries", tag = "webhooks", operation_id = "listDeliveries",
    params(("id" = Uuid, Path, description = "The webhook's id."), Filter),
    responses((status = OK, description = "A page of deliveries.", body = Page<Delivery>)),
    extensions(("x-rules" = json!(Rules::scope(&READ).paged())))
)]
pub async fn list(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    uri: Uri,
    Path(webhook): Path<Uuid>,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    Ok(find(&app, &actor, &context, webhook, &filter).await?.answer(&uri))
}

/// The page of deliveries.
///
/// # Errors
/// A problem `insufficient-scope`, `not-found`, `bad-limit` or `bad-cursor`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    webhook: Uuid,
    filter: &Filter,
) -> Result<Page<Delivery>, Problem> {
    webhooks::show::find(app, actor, context, webhook).await?;
    let organization = actor.organization_or_refuse()?;
    let state = filter.state.map(DeliveryState::as_str);
    let list = format!("deliveries {webhook} {state:?}");
    let page = PageRequest::read(filter.limit.as_deref(), filter.cursor.as_deref(), &app.cursors, &list)?;
    let (at, id) = page.after().map(|after| (after.at, after.id)).unzip();
    let rows = Transaction::read(
        &app.stores.database,
        Some(organization),
        &context.request_id,
        LIST,
        &[&organization, &webhook, &state, &at, &id, &page.rows_to_fetch()],
    )
    .await?;
    let deliveries = rows.iter().map(Delivery::read).collect();
    Ok(Page::new(deliveries, &page, Delivery::position, &app.cursors, &list))
}
