//! Sessions of the person who asks, and who that is. One file an operation.

pub mod enter;
pub mod list;
pub mod me;
pub mod revoke;
pub mod revoke_all;

use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use foundation::auth::session::{self, clear_cookie};
use foundation::page::cursor::Position;
use foundation::write::idempotency::Answer;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::role::Role;

/// Somewhere a person is signed in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Session {
    /// Names it.
    pub id: Uuid,
    /// Whether it is the one by which this was asked.
    pub current: bool,
    /// The organization in which the person works there.
    #[schema(required = true)]
    pub organization_id: Option<Uuid>,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last used, to the minute.
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen_at: OffsetDateTime,
    /// From which address it began.
    #[schema(example = "192.0.2.7")]
    pub address: String,
    /// What the browser called itself.
    #[schema(
        required = true,
        example = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    )]
    pub user_agent: Option<String>,
}

impl Session {
    fn of(session: session::Session, current: Uuid) -> Self {
        Self {
            id: session.id,
            current: session.id == current,
            organization_id: session.organization,
            created_at: session.created_at,
            last_seen_at: session.last_seen,
            address: session.address.to_string(),
            user_agent: session.user_agent,
        }
    }

    fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id }
    }
}

/// The organization in which somebody works.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Workplace {
    /// Names it.
    pub id: Uuid,
    /// What it is called.
    #[schema(example = "Gardeners")]
    pub name: String,
    /// What the person is there; nothing for an agent, which is what its token says.
    #[schema(required = true)]
    pub role: Option<Role>,
}

/// The answer to a write that has ended sessions; where this one is among them, the browser forgets its cookie.
fn ended(this_one: bool) -> Answer {
    let answer = Answer::empty(StatusCode::NO_CONTENT);
    if this_one { answer.header(SET_COOKIE, clear_cookie()) } else { answer }
}
