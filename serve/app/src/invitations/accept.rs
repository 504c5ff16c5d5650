//! `POST /api/v1/memberships`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::{Actor, Person};
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::write::idempotency::Answer;
use foundation::write::transaction::Transaction;
use foundation::write::{Place, Unit, WriteRequest};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::secret::Secret;
use super::{State, absent, lock, state};
use crate::members;
use crate::organizations::list::Belonging;
use crate::organizations::{enter, within};
use crate::role::Role;
use crate::state::App;

const LOOK_UP: &str = concat!(
    "SELECT id, organization_id, organization_name, email, role, expires_at, ",
    state!(),
    " AS state FROM invitation_by_hash($1)"
);
const ACCEPT: &str =
    "UPDATE invitations SET accepted_at = $3, accepted_by = $4 WHERE organization_id = $1 AND id = $2";

/// The invitation to be accepted.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Acceptance {
    /// What the invitation's link carries: its last part.
    #[schema(example = "bstinv_eW91IHdpbGwgbm90IGd1ZXNzIHRoaXMgb25lLCBzb3JyeSE")]
    pub invitation: String,
}

/// What somebody who has the link may know before accepting.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The invitation.
    pub id: Uuid,
    /// To which organization.
    pub organization: Uuid,
    /// What that is called.
    pub organization_name: String,
    /// To whom it was made out.
    pub email: String,
    /// What it makes of who accepts it.
    pub role: Role,
    /// Until when it can be accepted.
    pub expires_at: OffsetDateTime,
    /// What became of it.
    pub state: State,
}

/// Accepts an invitation
///
/// The person who is signed in becomes a member of the organization, and works in it from then on. One invitation makes
/// one member. Somebody who is a member already stays what they are, and the invitation stays open.
#[utoipa::path(
    post, path = "/api/v1/memberships", tag = "members", operation_id = "createMembership",
    request_body = Acceptance,
    responses(
        (status = CREATED, description = "The person is a member now.", body = Belonging),
        (status = OK, description = "The person was a member before, and nothing changed.", body = Belonging)
    ),
    extensions(("x-rules" = json!(Rules::person().problem(&codes::NOT_FOUND)
        .problem(&crate::codes::INVITATION_USED).problem(&crate::codes::INVITATION_REVOKED)
        .problem(&crate::codes::INVITATION_EXPIRED))))
)]
pub async fn accept(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    request: WriteRequest,
) -> Result<Response, Problem> {
    let person = actor.person_or_refuse()?;
    let acceptance: Acceptance = request.json()?;
    let offer = look_up(&app, request.context(), &Secret::shown(acceptance.invitation)).await?;
    let organization = offer.organization;
    let response = app
        .writes
        .perform_in(Place::Other(organization), &actor, &request, async |unit| {
            let (belonging, joined) = apply(unit, person, &offer).await?;
            if !joined {
                return Answer::json(StatusCode::OK, &belonging);
            }
            let path = format!("/api/v1/organizations/{organization}/members/{}", person.id);
            Ok(Answer::json(StatusCode::CREATED, &belonging)?.located(&path))
        })
        .await?;
    if response.headers().contains_key(LOCATION) {
        enter(&app, person, organization).await;
    }
    Ok(response)
}

/// The invitation with this secret, whatever became of it.
///
/// # Errors
/// A problem `not-found`, or one of the database.
pub async fn look_up(app: &App, context: &RequestContext, secret: &Secret) -> Result<Offer, Problem> {
    let (database, name) = (&app.stores.database, &context.request_id);
    let rows = Transaction::read(database, None, name, LOOK_UP, &[&secret.hash()]).await?;
    let offer = rows.first().map(|row| Offer {
        id: row.get("id"),
        organization: row.get("organization_id"),
        organization_name: row.get("organization_name"),
        email: row.get("email"),
        role: Role::stored(row.get("role")),
        expires_at: row.get("expires_at"),
        state: State::stored(row.get("state")),
    });
    offer.ok_or_else(absent)
}

/// Accepts the invitation within a write within its organization; true if the person is a member by that.
///
/// # Errors
/// A problem `not-found`, `invitation-used`, `invitation-revoked` or `invitation-expired`, or one of the database.
pub async fn apply(unit: &mut Unit, person: &Person, offer: &Offer) -> Result<(Belonging, bool), Problem> {
    let organization = within(unit).await?;
    let invitation = lock(unit, offer.organization, offer.id).await?;
    if let Some(member) = members::find(unit, person.id).await? {
        return Ok((Belonging { organization, role: Some(member.role) }, false));
    }
    invitation.state.require_open()?;
    if !members::add(unit, person.id, invitation.role).await? {
        // By another invitation, accepted at the same time.
        let member = members::find(unit, person.id).await?;
        return Ok((Belonging { organization, role: member.map(|member| member.role) }, false));
    }
    let now = unit.now();
    unit.transaction.query(ACCEPT, &[&offer.organization, &offer.id, &now, &person.id]).await?;
    unit.audit(Event::new("invitation.accept", "invitation").of(invitation.id).changed(
        "accepted_by",
        (),
        person.id.to_string(),
    ));
    Ok((Belonging { organization, role: Some(invitation.role) }, true))
}
