//! `POST /cancel/{state}`: somebody does not want to sign in, and goes back to the client that asked.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse as _, Redirect, Response};
use foundation::extract::Path;
use foundation::problem::Problem;

use super::failed::{Failure, failed};
use crate::accounts::pending::Pending;
use crate::attempt::{Attempt, Purpose};
use crate::provider;
use crate::state::Broker;

/// Tells the client that there will be nobody.
pub async fn cancel(
    State(broker): State<Arc<Broker>>,
    Path(state): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    broker.csrf.check_origin(&headers)?;
    let Some(attempt) = Attempt::of(&headers, &state, &broker.sealing, broker.clock.now()) else {
        return failed(&broker, None, Failure::Expired);
    };
    let mut response = match &attempt.purpose {
        Purpose::Authorize(request) => {
            provider::refuse(&broker, request, "access_denied", "The person does not want to sign in.")
        }
        Purpose::Account | Purpose::Again | Purpose::Link { .. } => Redirect::to("/account").into_response(),
    };
    response.headers_mut().append(SET_COOKIE, attempt.clear_cookie());
    response.headers_mut().append(SET_COOKIE, Pending::clear_cookie(&attempt));
    Ok(response)
}

/// What the client is called to which somebody can go back from an attempt.
pub fn client<'a>(broker: &'a Broker, attempt: &'a Attempt) -> Option<&'a str> {
    match &attempt.purpose {
        Purpose::Authorize(request) => Some(broker.client_name(&request.client_id)),
        Purpose::Account | Purpose::Again | Purpose::Link { .. } => None,
    }
}
