//! `POST /api/v1/deliveries/{id}/replays`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::webhook::delivery;
use foundation::write::{Unit, WriteRequest};
use uuid::Uuid;

use super::{Delivery, WRITE};
use crate::codes::DELIVERY_PENDING;
use crate::codes::WEBHOOK_DISABLED;
use crate::state::App;
use crate::webhooks;

/// It is being tried for as long as its job is neither finished nor given up, whatever its state says.
const LOCK: &str = "\
    SELECT endpoint_id, \
        state = 'pending' AND EXISTS (SELECT FROM jobs WHERE jobs.id = job_id AND feed_at IS NOT NULL) AS tried \
    FROM webhook_deliveries WHERE organization_id = $1 AND id = $2 FOR UPDATE";

/// Delivers again
///
/// What was delivered or given up: the same event with the same `webhook-id`, signed anew, with all attempts.
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/replays", tag = "webhooks", operation_id = "replayDelivery",
    params(("id" = Uuid, Path, description = "The delivery's id.")),
    responses((status = ACCEPTED, description = "The delivery, which is under way.", body = Delivery)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).problem(&DELIVERY_PENDING).problem(&WEBHOOK_DISABLED))))
)]
pub async fn replay(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    Path(id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    app.writes
        .perform(&actor, &request, async |unit| apply(unit, &actor, id).await?.answer(StatusCode::ACCEPTED))
        .await
}

/// Delivers again within a write.
///
/// # Errors
/// A problem `not-found`, `delivery-pending` or `webhook-disabled`, or one of the database.
pub async fn apply(unit: &mut Unit, actor: &Actor, id: Uuid) -> Result<Delivery, Problem> {
    let organization = actor.organization_or_refuse()?;
    let rows = unit.transaction.query(LOCK, &[&organization, &id]).await?;
    let row = rows.first().filter(|row| actor.may_touch(&[row.get("endpoint_id")]));
    let row = row.ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("There is no such delivery."))?;
    if row.get("tried") {
        return Err(Problem::new(&DELIVERY_PENDING));
    }
    if !webhooks::update::lock(unit, actor, row.get("endpoint_id")).await?.enabled {
        return Err(Problem::new(&WEBHOOK_DISABLED));
    }
    delivery::replay(unit, organization, id).await?;
    unit.audit(Event::new("delivery.replay", "delivery").of(id));
    Delivery::within(unit, organization, id).await
}
