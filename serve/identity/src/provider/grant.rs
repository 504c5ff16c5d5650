//! A sign-in of somebody at a client, as it is kept, and what ends it.

use foundation::audit::{Event, Outcome};
use foundation::problem::Problem;
use foundation::write::Unit;
use foundation::write::idempotency::Answer;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::claims::Person;

const END: &str = "UPDATE grants SET ended_at = $2, ended_because = $3 WHERE id = $1 AND ended_at IS NULL";

/// The columns from which [`Grant::read`] reads, of `grants`, `accounts` and `browser_sessions`. With `$2` the time: a grant
/// lives with its session, and without one where the client may act while the person is away.
macro_rules! of_grant {
    () => {
        concat!(
            "grants.id AS grant_id, grants.client_id, grants.account_id, grants.session_id, grants.scope AS granted, \
             grants.authenticated_at, browser_sessions.provider, grants.ended_at IS NULL \
             AND (browser_sessions.expires_at > $2 OR 'offline_access' = ANY(string_to_array(grants.scope, ' '))) \
             AS is_alive, ",
            crate::provider::claims::of_person!()
        )
    };
}
/// What joins them to a table that has a `grant_id`.
macro_rules! with_grant {
    ($table:literal) => {
        concat!(
            " LEFT JOIN grants ON grants.id = ",
            $table,
            ".grant_id LEFT JOIN accounts ON accounts.id = grants.account_id \
             LEFT JOIN browser_sessions ON browser_sessions.id = grants.session_id "
        )
    };
}
pub(super) use {of_grant, with_grant};

/// A sign-in of somebody at a client.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Its identifier.
    pub id: Uuid,
    /// The client.
    pub client_id: String,
    /// Who.
    pub account: Uuid,
    /// In which session, while that lasts.
    pub session: Option<Uuid>,
    /// What the client may know and do.
    pub scope: String,
    /// When the person proved who they are.
    pub authenticated_at: OffsetDateTime,
    /// With which login provider, while the session lasts.
    pub provider: Option<String>,
    /// Whether it has not ended.
    pub is_alive: bool,
    /// The person, as far as clients are told.
    pub person: Person,
}

impl Grant {
    /// Reads the columns of `of_grant`; the row has a grant.
    #[must_use]
    pub fn read(row: &Row) -> Self {
        Self {
            id: row.get("grant_id"),
            client_id: row.get("client_id"),
            account: row.get("account_id"),
            session: row.get("session_id"),
            scope: row.get("granted"),
            authenticated_at: row.get("authenticated_at"),
            provider: row.get("provider"),
            is_alive: row.get::<_, Option<bool>>("is_alive").unwrap_or(false),
            person: Person::read(row),
        }
    }
}

/// Ends the grant with the write.
pub fn end_later(unit: &mut Unit, id: Uuid, because: &'static str) {
    let now = unit.now();
    unit.transaction.later(END, vec![Box::new(id), Box::new(now), Box::new(because)]);
}

/// Ends the grant because somebody has used what must not be used: whoever has stolen it, or the client itself, has nothing
/// of it any more.
///
/// # Errors
/// The problem of the database.
pub async fn end_misused(mut unit: Box<Unit>, grant: &Grant, reason: &'static str) -> Result<(), Problem> {
    end_later(&mut unit, grant.id, "replayed");
    let event = Event::new("grant.end", "grant").of(grant.id).outcome(Outcome::Denied);
    unit.audit(event.changed("reason", (), reason).changed("client", (), grant.client_id.as_str()));
    unit.end(Ok(Answer::empty(axum::http::StatusCode::NO_CONTENT))).await.map(drop)
}
