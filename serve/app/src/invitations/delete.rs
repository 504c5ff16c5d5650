//! `DELETE /api/v1/organizations/{id}/invitations/{invitation_id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::Problem;
use foundation::write::idempotency::Answer;
use foundation::write::transaction::Parameter;
use foundation::write::{Unit, WriteRequest};
use uuid::Uuid;

use super::State;
use crate::members::WRITE;
use crate::members::authority::Authority;
use crate::organizations::{current, lock};
use crate::role::Role;
use crate::state::App;

const REVOKE: &str = "UPDATE invitations SET revoked_at = $3 WHERE organization_id = $1 AND id = $2";
const REVOKE_ABOVE: &str = "UPDATE invitations SET revoked_at = $3 WHERE organization_id = $1 AND created_by = $2 \
                            AND accepted_at IS NULL AND revoked_at IS NULL AND role <> ALL ($4)";

/// Revokes an invitation
///
/// Its link opens nothing any more. Nobody revokes an invitation to a role above their own.
#[utoipa::path(
    delete, path = "/api/v1/organizations/{id}/invitations/{invitation_id}", tag = "members",
    operation_id = "deleteInvitation",
    params(
        ("id" = Uuid, Path, description = "The organization's id."),
        ("invitation_id" = Uuid, Path, description = "The invitation's id.")
    ),
    responses((status = NO_CONTENT, description = "It is revoked.")),
    extensions(("x-rules" = json!(Rules::scope(&WRITE).problem(&crate::codes::ROLE_TOO_HIGH)
        .problem(&crate::codes::INVITATION_USED).problem(&crate::codes::INVITATION_REVOKED))))
)]
pub async fn delete(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    Path((organization, id)): Path<(Uuid, Uuid)>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    app.writes
        .perform(&actor, &request, async |unit| {
            apply(unit, &actor, organization, id).await?;
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        })
        .await
}

/// Revokes the invitation within a write.
///
/// # Errors
/// A problem `not-found`, `role-too-high`, `invitation-used` or `invitation-revoked`, or one of the database.
pub async fn apply(unit: &mut Unit, actor: &Actor, organization: Uuid, id: Uuid) -> Result<(), Problem> {
    let organization = lock(unit, current(actor, organization)?).await?.id;
    let authority = Authority::of(unit, actor).await?;
    let invitation = super::lock(unit, organization, id).await?;
    authority.require_to_change(invitation.role)?;
    if invitation.state != State::Expired {
        invitation.state.require_open()?;
    }
    let now = unit.now();
    unit.transaction.later(REVOKE, vec![Box::new(organization), Box::new(id), Box::new(now)]);
    unit.audit(Event::new("invitation.delete", "invitation").of(id));
    Ok(())
}

/// Revokes the open invitations that somebody made in the write's organization and could not make now, with this role or
/// none: what they may not do any more must not go on by a link that they kept.
pub fn revoke_above(unit: &mut Unit, inviter: Uuid, role: Option<Role>) {
    let invites = role.filter(|role| role.scopes().covers(&WRITE));
    let roles = [Role::Viewer, Role::Member, Role::Admin, Role::Owner].into_iter();
    let kept: Vec<&'static str> = roles.filter(|kept| Some(*kept) <= invites).map(Role::as_str).collect();
    let (organization, now) = (unit.origin().organization, unit.now());
    let values: Vec<Parameter> =
        vec![Box::new(organization), Box::new(inviter), Box::new(now), Box::new(kept)];
    unit.transaction.later(REVOKE_ABOVE, values);
}
