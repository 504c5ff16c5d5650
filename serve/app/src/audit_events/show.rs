//! `GET /api/v1/audit-events/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use foundation::audit::record::Record;
use foundation::audit::search::View;
use foundation::auth::actor::Actor;
use foundation::extract::{Json, Path};
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use uuid::Uuid;

use super::READ;
use crate::state::App;

/// Shows an event of the audit log
#[utoipa::path(
    get, path = "/api/v1/audit-events/{id}", tag = "audit", operation_id = "showAuditEvent",
    params(("id" = Uuid, Path, description = "The event's id.")),
    responses((status = OK, body = Record)),
    extensions(("x-rules" = json!(Rules::scope(&READ))))
)]
pub async fn show(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    Path(id): Path<Uuid>,
) -> Result<Json<Record>, Problem> {
    actor.require(&READ)?;
    let event = View::of(&app.stores.database, &actor, &context)?.find(id).await?;
    event.map(Json).ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("There is no such event."))
}
