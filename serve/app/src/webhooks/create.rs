//! `POST /api/v1/webhooks`

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::openapi::Rules;
use foundation::problem::Problem;
use foundation::webhook::endpoint::{self, NewEndpoint};
use foundation::write::{Unit, WriteRequest};
use serde::Deserialize;
use utoipa::ToSchema;

use super::destination::{Destination, without_query};
use super::{WRITE, WebhookWithSecret, update};
use crate::codes::QUOTA_REACHED;
use crate::events::EventType;
use crate::quota::Quota;
use crate::state::App;
use foundation::text::Prose;

/// Each event is delivered to as many.
const QUOTA: Quota = Quota {
    what: "webhooks",
    most: 20,
    count: "SELECT count(*) FROM webhook_endpoints WHERE organization_id = $1",
};

/// A webhook to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewWebhook {
    /// Where to: a public address, by https.
    pub url: Destination,
    /// For people.
    #[serde(default)]
    #[schema(value_type = String, max_length = 10000, example = "The chat room.")]
    pub description: Prose<10_000>,
    /// Which events are delivered; all unless some are named.
    #[serde(default)]
    #[schema(value_type = Vec<EventType>, required = false)]
    pub events: BTreeSet<EventType>,
}

/// Makes a webhook
///
/// Its secret is in the answer, and is never shown again.
#[utoipa::path(
    post, path = "/api/v1/webhooks", tag = "webhooks", operation_id = "createWebhook", request_body = NewWebhook,
    responses((status = CREATED, body = WebhookWithSecret)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned().problem(&QUOTA_REACHED))))
)]
pub async fn create(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let new: NewWebhook = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            let made = insert(&app, unit, &actor, new).await?;
            let path = format!("/api/v1/webhooks/{}", made.webhook.id);
            Ok(made.answer(StatusCode::CREATED)?.located(&path))
        })
        .await
}

/// Makes the webhook within a write.
///
/// # Errors
/// A problem `insufficient-scope` for a token that is restricted to certain resources, `validation-failed` for a URL that
/// cannot be delivered to, `quota-reached`, or one of the database.
pub async fn insert(
    app: &App,
    unit: &mut Unit,
    actor: &Actor,
    new: NewWebhook,
) -> Result<WebhookWithSecret, Problem> {
    actor.require_unrestricted(&WRITE)?;
    let organization_id = actor.organization_or_refuse()?;
    let url = new.url.vet(&app.webhooks)?;
    QUOTA.require_room(unit, organization_id).await?;
    let events: Vec<String> = new.events.iter().map(|kind| kind.as_str().to_owned()).collect();
    let endpoint = NewEndpoint {
        organization_id,
        url,
        description: new.description.into_string(),
        events,
        created_by: actor.id(),
    };
    let (id, secret) = endpoint::create(unit, &app.sealing, &endpoint).await?;
    unit.audit(
        Event::new("webhook.create", "webhook")
            .of(id)
            .changed("url", (), without_query(&endpoint.url))
            .changed("events", (), endpoint.events)
            .changed_secret("secret"),
    );
    Ok(WebhookWithSecret::new(update::lock(unit, actor, id).await?, &secret))
}
