//! Access tokens, as they come back.

use foundation::database::DatabaseError;

use super::code::named;
use super::grant::{Grant, of_grant, with_grant};
use crate::request::NamedClaims;
use crate::secret;
use crate::state::Broker;

const FIND: &str = concat!(
    "SELECT tokens.scope, tokens.claims, ",
    of_grant!(),
    " FROM issued_tokens AS tokens ",
    with_grant!("tokens"),
    " WHERE tokens.hash = $1 AND tokens.kind = 'access' AND tokens.expires_at > $2"
);

/// An access token that is good.
#[derive(Debug)]
pub struct Bearer {
    /// What it is for.
    pub scope: String,
    /// What the request named that it follows from.
    pub claims: Option<NamedClaims>,
    /// On what it was issued.
    pub grant: Grant,
}

/// The access token, if it is one and is good.
///
/// # Errors
/// [`DatabaseError`].
pub async fn find(broker: &Broker, token: &str) -> Result<Option<Bearer>, DatabaseError> {
    if !secret::is_one(token) {
        return Ok(None);
    }
    let (hash, now) = (secret::hash(token), broker.clock.now());
    let row = broker
        .database
        .ask(async |client| client.query_opt(&client.prepare_cached(FIND).await?, &[&&hash[..], &now]).await)
        .await?;
    let bearer =
        row.map(|row| Bearer { scope: row.get("scope"), claims: named(&row), grant: Grant::read(&row) });
    Ok(bearer.filter(|bearer| bearer.grant.is_alive))
}
