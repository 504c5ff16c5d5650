//! The login provider's own tokens, sealed for their identity.

use foundation::problem::{Problem, codes};
use foundation::seal::{KeyRing, Sealed};
use foundation::write::Unit;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::upstream::UpstreamTokens;

const FIND: &str = "SELECT key_id, sealed FROM upstream_grants WHERE identity_id = $1";
const KEEP: &str = "INSERT INTO upstream_grants (identity_id, scope, key_id, sealed, expires_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (identity_id) DO UPDATE SET scope = excluded.scope, \
     key_id = excluded.key_id, sealed = excluded.sealed, expires_at = excluded.expires_at, \
     updated_at = excluded.updated_at";
const FORGET: &str = "DELETE FROM upstream_grants WHERE identity_id = $1";

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Pair {
    access: String,
    refresh: Option<String>,
}

/// Keeps them with the transaction. A login provider that has given a refresh token once may not give it again: then the
/// one that there is stays.
///
/// # Errors
/// The problem of the database, or one where they cannot be sealed, which is the server's mistake.
pub async fn keep(
    unit: &mut Unit,
    keys: &KeyRing,
    identity: Uuid,
    tokens: &UpstreamTokens,
) -> Result<(), Problem> {
    let refresh = match &tokens.refresh {
        Some(refresh) => Some(refresh.clone()),
        None => kept_refresh(unit, keys, identity).await?,
    };
    let mistake = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a login provider's tokens cannot be sealed");
        Problem::new(&codes::INTERNAL)
    };
    let pair = Pair { access: tokens.access.clone(), refresh };
    let text = serde_json::to_vec(&pair).map_err(|error| mistake(&error))?;
    let sealed = keys.seal(&text, identity.as_bytes(), unit.randomness()).map_err(|error| mistake(&error))?;
    let now = unit.now();
    let values = vec![
        Box::new(identity) as _,
        Box::new(tokens.scope.clone()) as _,
        Box::new(sealed.key_id) as _,
        Box::new(sealed.bytes) as _,
        Box::new(tokens.expires_at) as _,
        Box::new(now) as _,
    ];
    unit.transaction.later(KEEP, values);
    Ok(())
}

/// The refresh token that is kept. One whose key is gone is none: the person's consent brings another.
async fn kept_refresh(unit: &Unit, keys: &KeyRing, identity: Uuid) -> Result<Option<String>, Problem> {
    let rows = unit.transaction.query(FIND, &[&identity]).await?;
    let opened = rows.first().and_then(|row| {
        let sealed = Sealed { key_id: row.get("key_id"), bytes: row.get("sealed") };
        keys.open(&sealed, identity.as_bytes()).ok()
    });
    Ok(opened.and_then(|text| serde_json::from_slice::<Pair>(&text).ok()).and_then(|pair| pair.refresh))
}

/// Forgets them with the transaction.
pub fn forget(unit: &mut Unit, identity: Uuid) {
    unit.transaction.later(FORGET, vec![Box::new(identity)]);
}
