//! Accounts and the identities that they are entered with.

mod arrive;
pub mod delete;
pub mod grants;
mod join;
mod letters;
pub mod linking;
mod notified;
pub mod pending;
pub mod profile;
pub mod recovery;
pub mod store;
mod told;
pub mod unlink;

use std::time::Duration;

use time::OffsetDateTime;

pub use arrive::{arrive, arrive_as_new};
pub use notified::notified;

use crate::session::BrowserSession;

/// After this long the person is asked to sign in again before anything changes how the account is entered.
pub const RECENT: Duration = Duration::from_secs(600);

/// What a login provider tells of one of its people, without being asked (Apple).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notification {
    /// The person does not want to use it here any more.
    ConsentRevoked,
    /// The person's account there is gone.
    AccountDeleted,
    /// Mail to the relay address is not passed on any more.
    EmailDisabled,
    /// It is again.
    EmailEnabled,
}

/// Whether the person has proven who it is not long ago.
#[must_use]
pub fn is_recent(session: &BrowserSession, now: OffsetDateTime) -> bool {
    now - session.authenticated_at < RECENT
}

#[cfg(test)]
mod tests;
