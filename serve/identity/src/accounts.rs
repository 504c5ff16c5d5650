//! Accounts and the identities that they are entered with.

use axum::http::HeaderMap;
use axum::response::Response;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;

use crate::attempt::Attempt;
use crate::state::Broker;
use crate::upstream::Verified;

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

/// Lets in whoever has come back from a login provider, by the rules of linking: as an account that there is, as a new one,
/// or with a question first.
///
/// # Errors
/// The problem of the database.
pub async fn arrive(
    broker: &Broker,
    context: &RequestContext,
    headers: &HeaderMap,
    attempt: Attempt,
    verified: Verified,
) -> Result<Response, Problem> {
    let _ = (broker, context, headers, attempt, verified);
    Err(Problem::new(&codes::INTERNAL))
}

/// Does what follows from a login provider's notification, which was verified and is new.
///
/// # Errors
/// The problem of the database.
pub async fn notified(
    broker: &Broker,
    context: &RequestContext,
    provider: &str,
    subject: &str,
    notification: Notification,
) -> Result<(), Problem> {
    let _ = (broker, context, provider, subject, notification);
    Err(Problem::new(&codes::INTERNAL))
}
