//! `DELETE /api/v1/organizations/{id}/members/{person_id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::etag::{self, Condition};
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::idempotency::Answer;
use foundation::write::{Unit, WriteRequest};
use uuid::Uuid;

use super::authority::Authority;
use super::{WRITE, absent, find, update};
use crate::invitations;
use crate::organizations::{current, lock};
use crate::role::Role;
use crate::state::App;

const DELETE: &str = "DELETE FROM memberships WHERE organization_id = $1 AND person_id = $2";

/// Removes a member, or leaves
///
/// Every member may remove themselves. To remove others takes the scope `members:write`, and a role that is not below
/// theirs; an agent removes members and viewers. The last owner stays. Open invitations by the member are revoked.
#[utoipa::path(
    delete, path = "/api/v1/organizations/{id}/members/{person_id}", tag = "members", operation_id = "deleteMember",
    params(
        ("id" = Uuid, Path, description = "The organization's id."),
        ("person_id" = Uuid, Path, description = "The person's id.")
    ),
    responses((status = NO_CONTENT, description = "The person belongs to the organization no longer.")),
    extensions(("x-rules" = json!(Rules::actor().versioned().problem(&codes::INSUFFICIENT_SCOPE)
        .problem(&crate::codes::ROLE_TOO_HIGH).problem(&crate::codes::LAST_OWNER))))
)]
pub async fn delete(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    headers: HeaderMap,
    Path((organization, person)): Path<(Uuid, Uuid)>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    if !is_self(&actor, person) {
        actor.require(&WRITE)?;
    }
    let condition = etag::required_if_match(&headers)?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(unit, &actor, (organization, person), &condition).await?;
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        })
        .await
}

fn is_self(actor: &Actor, person: Uuid) -> bool {
    matches!(actor, Actor::Person(own) if own.id == person)
}

/// Removes the member within a write.
///
/// # Errors
/// A problem `not-found`, `precondition-failed`, `role-too-high` or `last-owner`, or one of the database.
pub async fn apply(
    unit: &mut Unit,
    actor: &Actor,
    (organization, person): (Uuid, Uuid),
    condition: &Condition,
) -> Result<(), Problem> {
    let organization = lock(unit, current(actor, organization)?).await?.id;
    let authority = match is_self(actor, person) {
        true => None,
        false => Some(Authority::of(unit, actor).await?),
    };
    let member = find(unit, person).await?.ok_or_else(absent)?;
    etag::check(Some(condition), &member.etag())?;
    if let Some(authority) = authority {
        authority.require_to_change(member.role)?;
    }
    if member.role == Role::Owner {
        update::require_another_owner(unit, organization).await?;
    }
    unit.transaction.later(DELETE, vec![Box::new(organization), Box::new(person)]);
    invitations::delete::revoke_above(unit, person, None);
    unit.audit(Event::new("member.delete", "member").of(person).changed("role", member.role.as_str(), ()));
    Ok(())
}
