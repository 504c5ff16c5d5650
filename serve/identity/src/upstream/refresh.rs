//! The login providers' own tokens: kept sealed, and refreshed when somebody needs them.

use std::time::Duration;

use foundation::audit::{Event, Origin};
use foundation::problem::{Problem, codes};
use foundation::seal::Sealed;
use foundation::write::idempotency::Answer;
use foundation::write::transaction::Transaction;
use foundation::{database::DatabaseError, request};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::UpstreamTokens;
use super::error::UpstreamError;
use crate::state::Broker;

/// A token that ends sooner is refreshed: whoever gets it wants to use it.
const LASTS_AT_LEAST: Duration = Duration::from_secs(300);
/// Whoever waits longer for a place among the refreshers tries again later.
const PATIENCE: Duration = Duration::from_secs(5);
/// By which refreshers wait for each other.
const LOCK: &str = "refresh of an upstream grant";

const FIND: &str = "SELECT identities.provider, scope, key_id, sealed, expires_at FROM upstream_grants \
     JOIN identities ON identities.id = identity_id WHERE identity_id = $1";
const KEEP: &str = "INSERT INTO upstream_grants (identity_id, scope, key_id, sealed, expires_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (identity_id) DO UPDATE SET scope = excluded.scope, \
     key_id = excluded.key_id, sealed = excluded.sealed, expires_at = excluded.expires_at, \
     updated_at = excluded.updated_at";
const END: &str = "DELETE FROM upstream_grants WHERE identity_id = $1";

/// Why there is no fresh token.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Nothing is kept of this identity, or it has ended: the person has to sign in with it again.
    #[error("nothing is kept of this identity; the person has to sign in with it again")]
    Nothing,
    /// The login provider cannot be asked now.
    #[error("refreshing the token of a login provider: {0}")]
    Unavailable(#[from] UpstreamError),
    /// The database cannot be asked now.
    #[error("refreshing the token of a login provider: {0:?}")]
    Failed(Problem),
}

impl From<Problem> for RefreshError {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

impl From<DatabaseError> for RefreshError {
    fn from(error: DatabaseError) -> Self {
        Self::Failed(error.into())
    }
}

/// What is sealed together, for its identity: one identity's tokens are none of another's.
#[derive(Serialize, Deserialize)]
struct Pair {
    access: String,
    refresh: Option<String>,
}

/// Tokens as they are kept, with the provider that gave them.
struct Kept {
    provider: String,
    tokens: UpstreamTokens,
}

impl Kept {
    fn lasts(&self, until: OffsetDateTime) -> bool {
        self.tokens.expires_at.is_none_or(|ends| ends > until)
    }
}

/// The tokens of an identity, refreshed where they are about to end. One asks the provider at a time; the others wait, and
/// have what it got.
///
/// # Errors
/// [`RefreshError`].
pub async fn fresh(broker: &Broker, identity: Uuid) -> Result<UpstreamTokens, RefreshError> {
    let request_id = request_id();
    let rows = Transaction::read(&broker.database, None, &request_id, FIND, &[&identity]).await?;
    let kept = kept(broker, identity, &rows)?;
    if kept.lasts(broker.clock.now() + LASTS_AT_LEAST) {
        return Ok(kept.tokens);
    }
    let source = broker.upstreams.named(&kept.provider).ok_or(RefreshError::Nothing)?;
    let place = tokio::time::timeout(PATIENCE, source.refreshing.acquire()).await;
    let _place = place.ok().and_then(Result::ok).ok_or(UpstreamError::Busy)?;
    let mut unit = broker.writes.begin_without_key(&Origin::of_system(None, request_id)).await?;
    unit.transaction.alone(LOCK, identity).await?;
    // Somebody else may have refreshed it meanwhile.
    let rows = unit.transaction.query(FIND, &[&identity]).await?;
    let Kept { tokens: old, .. } = match self::kept(broker, identity, &rows)? {
        kept if kept.lasts(unit.now() + LASTS_AT_LEAST) => return Ok(kept.tokens),
        kept => kept,
    };
    let refreshed = match &old.refresh {
        Some(token) => source.refresh(token).await,
        // What cannot be refreshed is good as long as it lasts.
        None if old.expires_at.is_some_and(|ends| ends > unit.now()) => return Ok(old),
        None => Err(UpstreamError::Code),
    };
    match refreshed {
        Ok(redeemed) => {
            let asked: Vec<String> = old.scope.split(' ').map(ToOwned::to_owned).collect();
            let mut new = redeemed.tokens(&asked, unit.now());
            // One that was not replaced is still good.
            new.refresh = new.refresh.or(old.refresh);
            keep_later(broker, &mut unit.transaction, identity, &new)?;
            unit.end(Ok(Answer::empty(axum::http::StatusCode::NO_CONTENT))).await?;
            Ok(new)
        }
        Err(UpstreamError::Code) => {
            tracing::info!(provider = kept.provider, "a login provider does not refresh a token any more");
            unit.transaction.later(END, vec![Box::new(identity)]);
            let event = Event::new("upstream-grant.end", "identity").of(identity);
            unit.audit(event.changed("reason", (), "refused-by-provider"));
            unit.end(Ok(Answer::empty(axum::http::StatusCode::NO_CONTENT))).await?;
            Err(RefreshError::Nothing)
        }
        Err(error) => {
            error.log(&kept.provider);
            Err(error.into())
        }
    }
}

/// Keeps the tokens of an identity whose person has just signed in, with the transaction's end. A refresh token that is kept
/// stays where there is no new one: some providers give it with the first sign-in alone.
///
/// # Errors
/// The problem of the database.
pub async fn keep(
    broker: &Broker,
    transaction: &mut Transaction,
    identity: Uuid,
    tokens: &UpstreamTokens,
) -> Result<(), Problem> {
    let mut tokens = tokens.clone();
    if tokens.refresh.is_none() {
        let rows = transaction.query(FIND, &[&identity]).await?;
        // What cannot be opened any more is replaced.
        tokens.refresh = kept(broker, identity, &rows).ok().and_then(|kept| kept.tokens.refresh);
    }
    keep_later(broker, transaction, identity, &tokens)
}

fn keep_later(
    broker: &Broker,
    transaction: &mut Transaction,
    identity: Uuid,
    tokens: &UpstreamTokens,
) -> Result<(), Problem> {
    let internal = |_| Problem::new(&codes::INTERNAL);
    let pair = Pair { access: tokens.access.clone(), refresh: tokens.refresh.clone() };
    let text = serde_json::to_vec(&pair).map_err(|_| Problem::new(&codes::INTERNAL))?;
    let sealed = broker.sealing.seal(&text, identity.as_bytes(), &*broker.randomness).map_err(internal)?;
    let values = vec![
        Box::new(identity) as _,
        Box::new(tokens.scope.clone()) as _,
        Box::new(sealed.key_id) as _,
        Box::new(sealed.bytes) as _,
        Box::new(tokens.expires_at) as _,
        Box::new(broker.clock.now()) as _,
    ];
    transaction.later(KEEP, values);
    Ok(())
}

fn kept(broker: &Broker, identity: Uuid, rows: &[Row]) -> Result<Kept, RefreshError> {
    let row = rows.first().ok_or(RefreshError::Nothing)?;
    let read = || -> Result<_, tokio_postgres::Error> {
        let sealed = Sealed { key_id: row.try_get("key_id")?, bytes: row.try_get("sealed")? };
        Ok((sealed, row.try_get("provider")?, row.try_get("scope")?, row.try_get("expires_at")?))
    };
    let (sealed, provider, scope, expires_at) = read().map_err(DatabaseError::from)?;
    let opened = broker.sealing.open(&sealed, identity.as_bytes()).map_err(|error| {
        tracing::error!(%error, "the tokens of a login provider cannot be opened");
        RefreshError::Nothing
    })?;
    let pair: Pair = serde_json::from_slice(&opened).map_err(|_| RefreshError::Nothing)?;
    let tokens = UpstreamTokens { access: pair.access, refresh: pair.refresh, scope, expires_at };
    Ok(Kept { provider, tokens })
}

fn request_id() -> String {
    request::current().map_or_else(|| "refresh".to_owned(), |context| context.request_id.to_string())
}
