//! `GET /api/v1/webhooks/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::Response;
use foundation::auth::actor::Actor;
use foundation::etag;
use foundation::extract::{Json, Path};
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::write::transaction::Transaction;
use uuid::Uuid;

use super::{READ, Webhook, columns};
use crate::state::App;

const FIND: &str =
    concat!("SELECT ", columns!(), " FROM webhook_endpoints WHERE organization_id = $1 AND id = $2");

/// Shows a webhook
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}", tag = "webhooks", operation_id = "showWebhook",
    params(("id" = Uuid, Path, description = "The webhook's id.")),
    responses((status = OK, body = Webhook)),
    extensions(("x-rules" = json!(Rules::scope(&READ).versioned())))
)]
pub async fn show(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    let webhook = find(&app, &actor, &context, id).await?;
    let tag = webhook.etag();
    Ok(match etag::not_modified(&headers, &tag)? {
        Some(known) => known,
        None => tag.on(Json(webhook)),
    })
}

/// The webhook, if the actor may see it.
///
/// # Errors
/// A problem `insufficient-scope` or `not-found`, or one of the database.
pub async fn find(app: &App, actor: &Actor, context: &RequestContext, id: Uuid) -> Result<Webhook, Problem> {
    actor.require(&READ)?;
    let organization = actor.organization_or_refuse()?;
    let (database, name) = (&app.stores.database, &context.request_id);
    let rows = Transaction::read(database, Some(organization), name, FIND, &[&organization, &id]).await?;
    let webhook = rows.first().map(Webhook::read);
    webhook
        .filter(|webhook| actor.may_touch(&[webhook.id]))
        .ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("There is no such webhook."))
}
