//! Introspection (RFC 7662): a client asks what became of a token of its own. Of others' it learns nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use foundation::request::RequestContext;
use serde::Serialize;
use time::OffsetDateTime;

use super::client;
use super::grant::{Grant, of_grant, with_grant};
use super::issue::no_store;
use super::parameters::ClientForm;
use super::refusal::{Failure, Refusal};
use crate::secret;
use crate::settings::Client;
use crate::state::Broker;
use crate::throttle::{Pace, Tried};

const FIND: &str = concat!(
    "SELECT tokens.kind, tokens.scope, tokens.created_at, tokens.expires_at, ",
    of_grant!(),
    " FROM issued_tokens AS tokens ",
    with_grant!("tokens"),
    " WHERE tokens.hash = $1 AND tokens.expires_at > $2 AND tokens.used_at IS NULL"
);

/// What there is to say.
#[derive(Default, Serialize)]
struct Introspected {
    active: bool,
    #[serde(flatten)]
    token: Option<Token>,
}

#[derive(Serialize)]
struct Token {
    iss: String,
    scope: String,
    client_id: String,
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    iat: i64,
    exp: i64,
}

/// `POST /introspect`.
///
/// # Errors
/// A refusal, or the problem of the database.
pub async fn introspect(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    headers: HeaderMap,
    ClientForm(parameters): ClientForm,
) -> Result<Response, Failure> {
    let client = client::authenticate(&broker, &context, &headers, &parameters).await?;
    let missing = || Refusal::invalid_request("The parameter token is missing.");
    let token = parameters.get("token").ok_or_else(missing)?;
    let (hash, now) = (secret::hash(token), broker.clock.now());
    let row = broker
        .database
        .ask(async |client| client.query_opt(&client.prepare_cached(FIND).await?, &[&&hash[..], &now]).await)
        .await?;
    if row.is_none()
        && let Pace::Crowded(wait) = wrong(&broker, &context, client).await
    {
        return Err(Refusal::slow_down(wait).into());
    }
    let found = row.map(|row| (Grant::read(&row), row));
    let token =
        found.filter(|(grant, _)| grant.client_id == client.id && grant.is_alive).map(|(grant, row)| {
            let at = |column| row.get::<_, OffsetDateTime>(column).unix_timestamp();
            Token {
                iss: broker.issuer.clone(),
                scope: row.get("scope"),
                client_id: grant.client_id,
                sub: grant.account.to_string(),
                token_type: (row.get::<_, &str>("kind") == "access").then_some("Bearer"),
                iat: at("created_at"),
                exp: at("expires_at"),
            }
        });
    let answer = Introspected { active: token.is_some(), token };
    Ok(no_store(axum::Json(answer).into_response()))
}

/// There is no such token: whoever guesses waits.
async fn wrong(broker: &Broker, context: &RequestContext, client: &Client) -> Pace {
    let place = broker.settings.place(&client.id).unwrap_or_default();
    broker.throttle.wrong(Tried::Token(place), context.address, broker.clock.now()).await
}
