//! Whether somebody has let a client act in the person's name at login providers. Signing in on a page that says so is
//! saying yes; whoever is signed in already has not seen that page.

use foundation::database::DatabaseError;
use uuid::Uuid;

use super::claims::has_scope;
use crate::request::AuthorizationRequest;
use crate::settings::UPSTREAM_TOKENS;
use crate::state::Broker;

const GIVEN: &str = "SELECT EXISTS (SELECT FROM grants WHERE account_id = $1 AND client_id = $2 AND ended_at IS NULL \
     AND $3 = ANY(string_to_array(scope, ' '))) AS is_given";

/// Whether what is asked for has to be said yes to, by somebody who reads it.
#[must_use]
pub fn is_needed(request: &AuthorizationRequest) -> bool {
    request.scope.iter().any(|scope| scope == UPSTREAM_TOKENS)
}

/// Whether a scope lets a client have login providers' tokens.
#[must_use]
pub fn is_in(scope: &str) -> bool {
    has_scope(scope, UPSTREAM_TOKENS)
}

/// Whether the person has said yes to it, and has not taken it back.
///
/// # Errors
/// [`DatabaseError`].
pub async fn is_given(
    broker: &Broker,
    account: Uuid,
    request: &AuthorizationRequest,
) -> Result<bool, DatabaseError> {
    let row = broker
        .database
        .ask(async |client| {
            let statement = client.prepare_cached(GIVEN).await?;
            client.query_one(&statement, &[&account, &request.client_id, &UPSTREAM_TOKENS]).await
        })
        .await?;
    Ok(row.get("is_given"))
}
