//! What the issuer says of itself (OpenID Connect Discovery 1.0, RFC 8414), and its keys.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use foundation::problem::Problem;
use serde_json::json;

use super::claims::SUPPORTED;
use super::token::GRANT_TYPES;
use crate::keys::ALGORITHMS;
use crate::settings::{SCOPES, UPSTREAM_TOKENS};
use crate::state::Broker;

/// An hour: keys are published a day before they sign.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=3600");
/// Pages of any site may read it: there is nothing of anybody in it.
const EVERYBODY: HeaderValue = HeaderValue::from_static("*");

/// The description of the issuer of this name.
#[must_use]
pub fn describe(issuer: &str) -> Bytes {
    let at = |path: &str| format!("{issuer}/{path}");
    let authentication = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let assertions = ["ES256", "RS256", "PS256"];
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "userinfo_endpoint": at("userinfo"),
        "jwks_uri": at("keys"),
        "introspection_endpoint": at("introspect"),
        "revocation_endpoint": at("revoke"),
        "end_session_endpoint": at("logout"),
        "scopes_supported": SCOPES.iter().chain([&UPSTREAM_TOKENS]).collect::<Vec<_>>(),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": GRANT_TYPES,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ALGORITHMS.map(crate::settings::Algorithm::name),
        "token_endpoint_auth_methods_supported": authentication,
        "token_endpoint_auth_signing_alg_values_supported": assertions,
        "introspection_endpoint_auth_methods_supported": authentication,
        "introspection_endpoint_auth_signing_alg_values_supported": assertions,
        "revocation_endpoint_auth_methods_supported": authentication,
        "revocation_endpoint_auth_signing_alg_values_supported": assertions,
        "code_challenge_methods_supported": ["S256"],
        "claim_types_supported": ["normal"],
        "claims_supported": SUPPORTED,
        "claims_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
    });
    Bytes::from(document.to_string())
}

fn public(kind: HeaderValue, body: Bytes) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, KEPT), (ACCESS_CONTROL_ALLOW_ORIGIN, EVERYBODY)];
    (headers, body).into_response()
}

/// `GET /.well-known/openid-configuration` and `GET /.well-known/oauth-authorization-server`.
pub async fn description(State(broker): State<Arc<Broker>>) -> Response {
    public(HeaderValue::from_static("application/json"), broker.provider.description.clone())
}

/// `GET /keys`.
///
/// # Errors
/// The problem of the database, where the keys were never read.
pub async fn keys(State(broker): State<Arc<Broker>>) -> Result<Response, Problem> {
    let keys = broker.provider.keys.published().await?;
    Ok(public(HeaderValue::from_static("application/jwk-set+json"), keys))
}
