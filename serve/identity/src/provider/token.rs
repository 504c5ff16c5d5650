//! The token endpoint.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use foundation::request::RequestContext;

use super::parameters::ClientForm;
use super::refusal::{Failure, Refusal};
use super::{client, code, exchange, refresh};
use crate::state::Broker;

/// What a client may send to get a token.
pub const GRANT_TYPES: [&str; 3] = ["authorization_code", "refresh_token", exchange::GRANT_TYPE];

/// `POST /token`.
///
/// # Errors
/// A refusal, or the problem of the database.
pub async fn token(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    headers: HeaderMap,
    ClientForm(parameters): ClientForm,
) -> Result<Response, Failure> {
    let client = client::authenticate(&broker, &context, &headers, &parameters).await?;
    match parameters.get("grant_type") {
        Some("authorization_code") => {
            Ok(code::redeem(&broker, &context, client, &parameters).await?.into_response())
        }
        Some("refresh_token") => {
            Ok(refresh::redeem(&broker, &context, client, &parameters).await?.into_response())
        }
        Some(exchange::GRANT_TYPE) => {
            Ok(exchange::exchange(&broker, &context, client, &parameters).await?.into_response())
        }
        Some(_) => {
            Err(Refusal::bad("unsupported_grant_type", "The issuer's description has the grant types.")
                .into())
        }
        None => Err(Refusal::invalid_request("The parameter grant_type is missing.").into()),
    }
}
