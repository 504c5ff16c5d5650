//! Revocation (RFC 7009): a client gives up a token of its own. An access token ends alone, a refresh token with everything
//! that was issued on its grant. What is unknown or another's has ended as far as this client can tell.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use foundation::audit::Event;
use foundation::request::RequestContext;
use foundation::write::idempotency::Answer;
use uuid::Uuid;

use super::issue::no_store;
use super::parameters::ClientForm;
use super::refusal::{Failure, Refusal};
use super::{client, grant, origin};
use crate::secret;
use crate::state::Broker;

const FIND: &str = "SELECT tokens.kind, grants.id, grants.client_id FROM (VALUES (1)) AS always \
     LEFT JOIN issued_tokens AS tokens ON tokens.hash = $1 LEFT JOIN grants ON grants.id = tokens.grant_id";
const REMOVE: &str = "DELETE FROM issued_tokens WHERE hash = $1";

/// `POST /revoke`.
///
/// # Errors
/// A refusal, or the problem of the database.
pub async fn revoke(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    headers: HeaderMap,
    ClientForm(parameters): ClientForm,
) -> Result<Response, Failure> {
    let client = client::authenticate(&broker, &context, &headers, &parameters).await?;
    let missing = || Refusal::invalid_request("The parameter token is missing.");
    let token = parameters.get("token").ok_or_else(missing)?;
    let done = || no_store(StatusCode::OK.into_response());
    let hash = secret::hash(token);
    let (mut unit, row) = broker.writes.begin_asking(&origin(&context), FIND, &[&&hash[..]]).await?;
    let owner: Option<&str> = row.get("client_id");
    if owner != Some(client.id.as_str()) {
        return Ok(done());
    }
    let id: Uuid = row.get("id");
    let event = if row.get::<_, &str>("kind") == "refresh" {
        grant::end_later(&mut unit, id, "revoked");
        Event::new("grant.end", "grant").of(id).changed("reason", (), "revoked")
    } else {
        unit.transaction.later(REMOVE, vec![Box::new(hash.to_vec())]);
        Event::new("token.revoke", "grant").of(id)
    };
    unit.audit(event.changed("client", (), client.id.as_str()));
    unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await?;
    Ok(done())
}
