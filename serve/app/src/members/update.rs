//! `PATCH /api/v1/organizations/{id}/members/{person_id}`

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

use super::authority::Authority;
use super::{Member, WRITE, absent, find};
use crate::invitations;
use crate::organizations::{current, lock};
use crate::role::Role;
use crate::state::App;

const UPDATE: &str = "UPDATE memberships SET role = $3, version = version + 1, updated_at = $4 \
                      WHERE organization_id = $1 AND person_id = $2";
const OWNERS: &str = "SELECT count(*) FROM memberships WHERE organization_id = $1 AND role = 'owner'";

/// What is to be changed; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MemberChange {
    /// What the person is to be in the organization.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Role, required = false)]
    pub role: Option<Role>,
}

/// Changes a member's role
///
/// Nobody gives a role above their own, or changes somebody who has one; an agent gives at most the role of a member. The
/// last owner stays owner. Open invitations by the member to roles above the new one are revoked with it.
#[utoipa::path(
    patch, path = "/api/v1/organizations/{id}/members/{person_id}", tag = "members", operation_id = "updateMember",
    request_body = MemberChange,
    params(
        ("id" = Uuid, Path, description = "The organization's id."),
        ("person_id" = Uuid, Path, description = "The person's id.")
    ),
    responses((status = OK, body = Member)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).versioned()
        .problem(&crate::codes::ROLE_TOO_HIGH).problem(&crate::codes::LAST_OWNER))))
)]
pub async fn update(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    headers: HeaderMap,
    Path((organization, person)): Path<(Uuid, Uuid)>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let condition = etag::required_if_match(&headers)?;
    let change: MemberChange = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(unit, &actor, (organization, person), &condition, change).await?.answer(StatusCode::OK)
        })
        .await
}

/// Changes the member within a write.
///
/// # Errors
/// A problem `not-found`, `precondition-failed`, `role-too-high` or `last-owner`, or one of the database.
pub async fn apply(
    unit: &mut Unit,
    actor: &Actor,
    (organization, person): (Uuid, Uuid),
    condition: &Condition,
    change: MemberChange,
) -> Result<Member, Problem> {
    let organization = lock(unit, current(actor, organization)?).await?.id;
    let authority = Authority::of(unit, actor).await?;
    let before = find(unit, person).await?.ok_or_else(absent)?;
    etag::check(Some(condition), &before.etag())?;
    let role = change.role.unwrap_or(before.role);
    authority.require_to_change(before.role)?;
    if role == before.role {
        return Ok(before);
    }
    authority.require_to_give(role)?;
    if before.role == Role::Owner {
        require_another_owner(unit, organization).await?;
    }
    let now = unit.now();
    unit.transaction.query(UPDATE, &[&organization, &person, &role.as_str(), &now]).await?;
    invitations::delete::revoke_above(unit, person, Some(role));
    let event = Event::new("member.update", "member").of(person);
    unit.audit(event.changed("role", before.role.as_str(), role.as_str()));
    find(unit, person).await?.ok_or_else(|| Problem::new(&codes::INTERNAL))
}

/// Refuses unless the organization, which is locked, has more owners than one.
///
/// # Errors
/// A problem `last-owner`, or one of the database.
pub(super) async fn require_another_owner(unit: &Unit, organization: Uuid) -> Result<(), Problem> {
    let owners = unit.transaction.query(OWNERS, &[&organization]).await?;
    let more = owners.first().is_some_and(|row| row.get::<_, i64>(0) > 1);
    if more { Ok(()) } else { Err(Problem::new(&crate::codes::LAST_OWNER)) }
}
