//! The login providers' own tokens, as they are kept.

use foundation::problem::Problem;
use foundation::seal::{SealError, Sealed};
use serde::Deserialize;
use uuid::Uuid;

use super::UpstreamTokens;
use crate::state::Broker;

const FIND: &str = "SELECT scope, key_id, sealed, expires_at FROM upstream_grants WHERE identity_id = $1";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Nothing is kept of this identity, or it has ended: the person has to sign in with it again.
    #[error("nothing is kept of this identity; the person has to sign in with it again")]
    Nothing,
    /// What is kept cannot be read.
    #[error("reading the token of a login provider: {0}")]
    Unavailable(#[from] SealError),
    /// The database cannot be asked now.
    #[error("reading the token of a login provider: {0:?}")]
    Failed(Problem),
}

#[derive(Deserialize)]
struct Pair {
    access: String,
    refresh: Option<String>,
}

/// The tokens of an identity that are good.
///
/// # Errors
/// [`RefreshError`].
pub async fn fresh(broker: &Broker, identity: Uuid) -> Result<UpstreamTokens, RefreshError> {
    let row = broker
        .database
        .ask(async |client| client.query_opt(&client.prepare_cached(FIND).await?, &[&identity]).await)
        .await
        .map_err(|error| RefreshError::Failed(error.into()))?
        .ok_or(RefreshError::Nothing)?;
    let sealed = Sealed { key_id: row.get("key_id"), bytes: row.get("sealed") };
    let opened = broker.sealing.open(&sealed, identity.as_bytes())?;
    let pair: Pair = serde_json::from_slice(&opened).map_err(|_| RefreshError::Nothing)?;
    let tokens = UpstreamTokens {
        access: pair.access,
        refresh: pair.refresh,
        scope: row.get("scope"),
        expires_at: row.get("expires_at"),
    };
    let is_good = tokens.expires_at.is_none_or(|ends| ends > broker.clock.now());
    if is_good { Ok(tokens) } else { Err(RefreshError::Nothing) }
}
