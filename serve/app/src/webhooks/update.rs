//! `PATCH /api/v1/webhooks/{id}`

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::etag::{self, Condition};
use foundation::extract::{Path, given};
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::{Unit, WriteRequest};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::destination::{Destination, without_query};
use super::{WRITE, Webhook, columns};
use crate::events::EventType;
use crate::state::App;
use foundation::text::Prose;

const LOCK: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM webhook_endpoints WHERE organization_id = $1 AND id = $2 FOR UPDATE"
);
/// Enabling lets it begin anew; disabling again keeps why it was disabled.
const UPDATE: &str = concat!(
    "UPDATE webhook_endpoints SET url = $3, description = $4, events = $5, \
     disabled_at = CASE WHEN $6 THEN NULL ELSE coalesce(disabled_at, $7) END, \
     disabled_reason = CASE WHEN $6 THEN NULL ELSE coalesce(disabled_reason, 'requested') END, \
     failing_since = CASE WHEN $6 AND disabled_at IS NOT NULL THEN NULL ELSE failing_since END, \
     version = version + 1, updated_at = $7 WHERE organization_id = $1 AND id = $2 RETURNING ",
    columns!()
);

/// What is to be changed; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub struct WebhookChange {
    /// Where to: a public address, by https.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Destination, required = false)]
    pub url: Option<Destination>,
    /// For people.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, max_length = 10000, example = "The chat room.", required = false)]
    pub description: Option<Prose<10_000>>,
    /// Which events are delivered; with none here, all are.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<EventType>, required = false)]
    pub events: Option<BTreeSet<EventType>>,
    /// Whether anything is delivered: `true` also after it was disabled because it failed.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool, required = false)]
    pub enabled: Option<bool>,
}

/// Changes a webhook
///
/// Also enables it again after it was disabled. What was not delivered meanwhile can be sent again, one delivery at a
/// time.
#[utoipa::path(
    patch, path = "/api/v1/webhooks/{id}", tag = "webhooks", operation_id = "updateWebhook",
    request_body = WebhookChange, params(("id" = Uuid, Path, description = "The webhook's id.")),
    responses((status = OK, body = Webhook)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned())))
)]
pub async fn update(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let condition = etag::required_if_match(&headers)?;
    let change: WebhookChange = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(&app, unit, &actor, id, &condition, change).await?.answer(StatusCode::OK)
        })
        .await
}

/// Changes the webhook within a write.
///
/// # Errors
/// A problem `not-found`, `precondition-failed` or `validation-failed`, or one of the database.
pub async fn apply(
    app: &App,
    unit: &mut Unit,
    actor: &Actor,
    id: Uuid,
    condition: &Condition,
    change: WebhookChange,
) -> Result<Webhook, Problem> {
    let organization = actor.organization_or_refuse()?;
    let before = lock(unit, actor, id).await?;
    etag::check(Some(condition), &before.etag())?;
    let url = match change.url {
        Some(url) => url.vet(&app.webhooks)?,
        None => before.url.clone(),
    };
    let description = change.description.map_or_else(|| before.description.clone(), Prose::into_string);
    let events = change.events.map_or_else(
        || before.events.clone(),
        |events| events.iter().map(|kind| kind.as_str().to_owned()).collect(),
    );
    let enabled = change.enabled.unwrap_or(before.enabled);
    let now = unit.now();
    let rows = unit
        .transaction
        .query(UPDATE, &[&organization, &id, &url, &description, &events, &enabled, &now])
        .await?;
    let webhook = rows.first().map(Webhook::read).ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    unit.audit(changes(Event::new("webhook.update", "webhook").of(id), &before, &webhook));
    Ok(webhook)
}

/// The webhook as it is, which nobody else changes until the write ends.
///
/// # Errors
/// A problem `not-found`, or one of the database.
pub(crate) async fn lock(unit: &mut Unit, actor: &Actor, id: Uuid) -> Result<Webhook, Problem> {
    let organization = actor.organization_or_refuse()?;
    let rows = unit.transaction.query(LOCK, &[&organization, &id]).await?;
    let webhook = rows.first().map(Webhook::read);
    webhook
        .filter(|webhook| actor.may_touch(&[webhook.id]))
        .ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("There is no such webhook."))
}

fn changes(mut event: Event, before: &Webhook, after: &Webhook) -> Event {
    if before.url != after.url {
        event = event.changed("url", without_query(&before.url), without_query(&after.url));
    }
    if before.description != after.description {
        event = event.changed("description", before.description.as_str(), after.description.as_str());
    }
    if before.events != after.events {
        event = event.changed("events", before.events.as_slice(), after.events.as_slice());
    }
    if before.enabled != after.enabled {
        event = event.changed("enabled", before.enabled, after.enabled);
    }
    event
}
