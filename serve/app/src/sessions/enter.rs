//! `PUT /api/v1/me/organization`

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::idempotency::Answer;
use foundation::write::{Place, Unit, WriteRequest};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Workplace;
use crate::role::Role;
use crate::state::App;

const ENTER: &str = "SELECT name, role FROM person_enters($1, $2)";

/// Where you want to work.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Entry {
    /// An organization of which you are a member.
    pub organization_id: Uuid,
}

/// Enters another organization
///
/// What this session asks for from now on happens there, and so does what your next one asks for.
#[utoipa::path(
    put, path = "/api/v1/me/organization", tag = "me", operation_id = "enterOrganization", request_body = Entry,
    responses((status = OK, body = Workplace)),
    extensions(("x-rules" = json!(Rules::person().problem(&codes::NOT_FOUND))))
)]
pub async fn enter(
    State(app): State<Arc<App>>,
    actor: Actor,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.person_or_refuse()?;
    let entry: Entry = request.json()?;
    app.writes
        .perform_in(Place::Other(entry.organization_id), &actor, &request, async |unit| {
            let workplace = apply(&app, unit, &actor, entry.organization_id).await?;
            Answer::json(StatusCode::OK, &workplace)
        })
        .await
}

/// Lets the person's session work in an organization, by a write within that one.
///
/// # Errors
/// A problem `people-only`, `not-found` where the person is no member, `unauthenticated` where the session has ended
/// meanwhile, or one of the stores.
pub async fn apply(
    app: &App,
    unit: &mut Unit,
    actor: &Actor,
    organization: Uuid,
) -> Result<Workplace, Problem> {
    let person = actor.person_or_refuse()?;
    let rows = unit.transaction.query(ENTER, &[&person.id, &organization]).await?;
    let row = rows.first().ok_or_else(|| {
        Problem::new(&codes::NOT_FOUND).error(
            "/organization_id",
            "unknown",
            "You are a member of no such organization.",
        )
    })?;
    let workplace =
        Workplace { id: organization, name: row.get("name"), role: Some(Role::stored(row.get("role"))) };
    if !app.authentication.sessions.enter(&person.session, Some(organization)).await? {
        return Err(Problem::new(&codes::UNAUTHENTICATED));
    }
    let before = person.organization.map(|id| id.to_string());
    unit.audit(Event::new("session.enter", "session").of(person.session_id).changed(
        "organization_id",
        before,
        organization.to_string(),
    ));
    Ok(workplace)
}
