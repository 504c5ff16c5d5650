//! `POST /api/v1/organizations/{id}/invitations`

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::idempotency::Answer;
use foundation::write::{Unit, WriteRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::secret::Secret;
use super::{Invitation, columns, mail};
use crate::members::WRITE;
use crate::members::authority::Authority;
use crate::organizations::{current, lock};
use crate::role::Role;
use crate::state::App;
use foundation::mail::Email;

/// An invitation can be accepted for this long.
const LASTS: Duration = Duration::from_secs(7 * 86_400);
/// An organization invites so many in a day at most: our mail is not for sending to everybody.
const MOST_IN_A_DAY: i64 = 100;
const DAY: Duration = Duration::from_secs(86_400);

const LATELY: &str = "SELECT count(*) FROM invitations WHERE organization_id = $1 AND created_at > $2";
const INSERT: &str = concat!(
    "INSERT INTO invitations (id, organization_id, email, role, hash, created_at, created_by, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ",
    columns!()
);

/// An invitation to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewInvitation {
    /// To whom it is made out, and sent where mail is sent.
    #[schema(value_type = String, format = Email, max_length = 254)]
    pub email: Email,
    /// What it makes of who accepts it.
    pub role: Role,
}

/// An invitation with its link, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct Invited {
    /// The invitation.
    pub invitation: Invitation,
    /// What a program that accepts it shows.
    #[schema(example = "bstinv_eW91IHdpbGwgbm90IGd1ZXNzIHRoaXMgb25lLCBzb3JyeSE")]
    pub secret: String,
    /// Where a person accepts it.
    #[schema(
        format = "uri",
        example = "https://app.example.com/invitations/bstinv_eW91IHdpbGwgbm90IGd1ZXNzIHRoaXMgb25lLCBzb3JyeSE"
    )]
    pub link: String,
    /// Whether the link is sent by e-mail as well. Where the platform sends no mail, hand it on yourself.
    pub mailed: bool,
}

/// Invites somebody
///
/// The answer has the link, which makes whoever opens it a member, once, within seven days; it is not shown again. Nobody
/// invites to a role above their own; an agent invites members and viewers, and only to what its token allows itself.
#[utoipa::path(
    post, path = "/api/v1/organizations/{id}/invitations", tag = "members", operation_id = "createInvitation",
    request_body = NewInvitation,
    params(("id" = Uuid, Path, description = "The organization's id.")),
    responses((status = CREATED, body = Invited)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE)
        .problem(&crate::codes::ROLE_TOO_HIGH).problem(&crate::codes::QUOTA_REACHED))))
)]
pub async fn create(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    Path(organization): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let new: NewInvitation = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| {
            let invited = insert(unit, &app, &actor, organization, new).await?;
            let id = invited.invitation.id;
            let path = format!("/api/v1/organizations/{organization}/invitations/{id}");
            Ok(Answer::json(StatusCode::CREATED, &invited)?.located(&path).secret())
        })
        .await
}

/// Makes the invitation within a write, and has it sent where mail is sent.
///
/// # Errors
/// A problem `not-found`, `role-too-high` or `quota-reached`, or one of the database.
pub async fn insert(
    unit: &mut Unit,
    app: &App,
    actor: &Actor,
    organization: Uuid,
    new: NewInvitation,
) -> Result<Invited, Problem> {
    let organization = lock(unit, current(actor, organization)?).await?.id;
    Authority::of(unit, actor).await?.require_to_give(new.role)?;
    let now = unit.now();
    let lately = unit.transaction.query(LATELY, &[&organization, &(now - DAY)]).await?;
    if lately.first().is_some_and(|row| row.get::<_, i64>(0) >= MOST_IN_A_DAY) {
        return Err(Problem::new(&crate::codes::QUOTA_REACHED)
            .detail(format!("An organization invites at most {MOST_IN_A_DAY} times in 24 hours.")));
    }
    let (id, secret) = (unit.new_id(), Secret::new(unit.randomness()));
    let (email, role) = (new.email.as_str(), new.role.as_str());
    let rows = unit
        .transaction
        .query(
            INSERT,
            &[&id, &organization, &email, &role, &secret.hash(), &now, &actor.id(), &(now + LASTS)],
        )
        .await?;
    let invitation = rows.first().map(Invitation::read).ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    unit.audit(
        Event::new("invitation.create", "invitation")
            .of(id)
            .changed("email", (), email)
            .changed("role", (), role)
            .changed_secret("link"),
    );
    let mailed = app.mail.is_some();
    if mailed {
        let job = mail::job(unit, &app.sealing, organization, id, &secret)?;
        unit.enqueue(job);
    }
    let link = secret.link(&app.public_url).to_string();
    Ok(Invited { invitation, secret: secret.reveal().to_owned(), link, mailed })
}
