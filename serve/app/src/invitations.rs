//! Invitations: a link that makes whoever has it a member, once. One file an operation.

pub mod accept;
pub mod create;
pub mod delete;
pub mod list;
pub mod mail;
pub mod secret;
pub mod show;

use foundation::page::cursor::Position;
use foundation::problem::{Problem, codes};
use foundation::write::Unit;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::role::Role;

/// What became of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = InvitationState)]
pub enum State {
    /// It can be accepted.
    Open,
    /// Somebody has accepted it.
    Accepted,
    /// It was taken back.
    Revoked,
    /// Nobody has accepted it in time.
    Expired,
}

impl State {
    /// As the database has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    fn stored(text: &str) -> Self {
        match text {
            "open" => Self::Open,
            "accepted" => Self::Accepted,
            "expired" => Self::Expired,
            // Whatever else might stand there opens nothing.
            _ => Self::Revoked,
        }
    }

    /// Refuses to go on with an invitation that is not open, and says why.
    ///
    /// # Errors
    /// A problem `invitation-used`, `invitation-revoked` or `invitation-expired`.
    pub fn require_open(self) -> Result<(), Problem> {
        Err(Problem::new(match self {
            Self::Open => return Ok(()),
            Self::Accepted => &crate::codes::INVITATION_USED,
            Self::Revoked => &crate::codes::INVITATION_REVOKED,
            Self::Expired => &crate::codes::INVITATION_EXPIRED,
        }))
    }
}

/// An invitation, without the link.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Invitation {
    /// Names it.
    pub id: Uuid,
    /// To whom it was made out. Whoever has the link can accept it.
    #[schema(format = Email)]
    pub email: String,
    /// What it makes of who accepts it.
    pub role: Role,
    /// What became of it.
    pub state: State,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Who made it: a person or an agent.
    pub created_by: Uuid,
    /// Until when it can be accepted.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// When it was accepted.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub accepted_at: Option<OffsetDateTime>,
    /// Who accepted it.
    #[schema(required = true)]
    pub accepted_by: Option<Uuid>,
    /// When it was taken back.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub revoked_at: Option<OffsetDateTime>,
    /// When the letter with its link was refused for good, because the address takes no mail. The link is as good as before:
    /// hand it on yourself, or invite another address.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub undeliverable_at: Option<OffsetDateTime>,
}

/// What became of a row of invitations.
macro_rules! state {
    () => {
        "CASE WHEN accepted_at IS NOT NULL THEN 'accepted' WHEN revoked_at IS NOT NULL THEN 'revoked' \
         WHEN expires_at <= now() THEN 'expired' ELSE 'open' END"
    };
}
pub(crate) use state;

/// Columns of an invitation, as [`Invitation::read`] wants them.
macro_rules! columns {
    () => {
        concat!(
            "id, email, role, created_at, created_by, expires_at, accepted_at, accepted_by, revoked_at, undeliverable_at, ",
            $crate::invitations::state!(),
            " AS state"
        )
    };
}
pub(crate) use columns;

impl Invitation {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            email: row.get("email"),
            role: Role::stored(row.get("role")),
            state: State::stored(row.get("state")),
            created_at: row.get("created_at"),
            created_by: row.get("created_by"),
            expires_at: row.get("expires_at"),
            accepted_at: row.get("accepted_at"),
            accepted_by: row.get("accepted_by"),
            revoked_at: row.get("revoked_at"),
            undeliverable_at: row.get("undeliverable_at"),
        }
    }

    fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id }
    }
}

const LOCK: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM invitations WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE"
);

/// The invitation as it is, which nobody else changes until the write ends.
async fn lock(unit: &Unit, organization: Uuid, id: Uuid) -> Result<Invitation, Problem> {
    let rows = unit.transaction.query(LOCK, &[&organization, &id]).await?;
    rows.first().map(Invitation::read).ok_or_else(absent)
}

fn absent() -> Problem {
    Problem::new(&codes::NOT_FOUND).detail("There is no such invitation.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_states_are_read_back_and_one_of_them_is_open() {
        for state in [State::Open, State::Accepted, State::Revoked, State::Expired] {
            assert_eq!(State::stored(state.as_str()), state);
            assert_eq!(state.require_open().is_ok(), state == State::Open);
        }
        assert!(State::stored("ajar").require_open().is_err());
    }
}
