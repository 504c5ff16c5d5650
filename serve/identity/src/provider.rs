//! What the issuer is to its clients: OpenID Connect and OAuth 2.0.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;

use crate::request::AuthorizationRequest;
use crate::session::BrowserSession;
use crate::state::Broker;

/// The endpoints for clients.
pub fn routes() -> Router<Arc<Broker>> {
    Router::new()
}

/// Answers a client's request in the name of whoever is signed in: sends the browser back with a code.
///
/// # Errors
/// The problem of the database.
pub async fn complete(
    broker: &Broker,
    context: &RequestContext,
    session: &BrowserSession,
    request: &AuthorizationRequest,
) -> Result<Response, Problem> {
    let _ = (broker, context, session, request);
    Err(Problem::new(&codes::INTERNAL))
}

/// Answers a client's request with an error of OAuth 2.0, such as `access_denied`: sends the browser back.
pub fn refuse(broker: &Broker, request: &AuthorizationRequest, error: &str, description: &str) -> Response {
    let _ = (broker, request, error, description);
    Response::default()
}
