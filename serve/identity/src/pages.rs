//! What people see: plain HTML forms with stable ids, without JavaScript and without any outside host.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use foundation::problem::{Problem, codes};

use crate::attempt::Attempt;
use crate::state::Broker;

/// The pages, and what their forms do.
pub fn routes() -> Router<Arc<Broker>> {
    Router::new()
}

/// Why somebody who wanted to sign in is not, as far as it is for that person to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It took too long, or began in another browser: it begins anew.
    Expired,
    /// The person refused at the login provider.
    Refused,
    /// The login provider is down, slow, or answers nonsense.
    ProviderUnavailable,
    /// The login provider's answer is not to be believed.
    NotBelieved,
    /// The person's organization has to allow this site first (Microsoft).
    ConsentNeeded,
    /// The account is not of the organization whose people may sign in.
    OtherOrganization,
    /// Too many attempts.
    TooMany,
}

/// The page with the login providers' buttons, each of which posts to `/attempts/{state}/{provider}`; with the cookie that
/// keeps the attempt.
///
/// # Errors
/// A problem where the page cannot be made.
pub fn sign_in(broker: &Broker, attempt: &Attempt, failure: Option<Failure>) -> Result<Response, Problem> {
    let _ = (broker, attempt, failure);
    Err(Problem::new(&codes::INTERNAL))
}

/// The page that says why somebody is not signed in, with a way to try again where there is one.
///
/// # Errors
/// A problem where the page cannot be made.
pub fn failed(broker: &Broker, attempt: Option<&Attempt>, failure: Failure) -> Result<Response, Problem> {
    let _ = (broker, attempt, failure);
    Err(Problem::new(&codes::INTERNAL))
}

/// The page that says that somebody is signed out.
///
/// # Errors
/// A problem where the page cannot be made.
pub fn signed_out(broker: &Broker) -> Result<Response, Problem> {
    let _ = broker;
    Err(Problem::new(&codes::INTERNAL))
}
