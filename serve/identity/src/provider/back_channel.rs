//! Back-channel logout (OpenID Connect Back-Channel Logout 1.0): a client is told that a session has ended, by a token that says
//! so.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use foundation::clock;
use foundation::http_client::HttpError;
use foundation::problem::Problem;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::keys::KeyError;
use crate::state::Broker;

/// What makes a token one that ends sessions.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// As short as the standard recommends: each attempt has a token of its own.
const LASTS: Duration = Duration::from_secs(120);

/// Why a client was not told.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// There is no key to sign with.
    #[error("there is no key to sign with: {0:?}")]
    NoKey(Problem),
    /// The token cannot be signed.
    #[error(transparent)]
    Signing(#[from] KeyError),
    /// The client cannot be reached.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The client does not take it.
    #[error("the client answered {0}")]
    Refused(StatusCode),
}

/// Tells the client that this session has ended. A client that is not there any more, or does not want to know, is told
/// nothing.
///
/// # Errors
/// [`TellError`]; it is then to be tried again.
pub async fn send(broker: &Broker, client_id: &str, account: Uuid, session: Uuid) -> Result<(), TellError> {
    let Some(client) = broker.settings.client(client_id) else { return Ok(()) };
    let Some(url) = &client.back_channel_logout_uri else { return Ok(()) };
    let signer = broker.provider.keys.signer(client.algorithm).await.map_err(TellError::NoKey)?;
    let id = clock::new_id(&*broker.clock, &*broker.randomness);
    let claims = claims(&broker.issuer, client_id, (account, session), id, broker.clock.now());
    let token = signer.token("logout+jwt", &claims)?;
    let answer = broker.http.post_form(url, HeaderMap::new(), &[("logout_token", &token)]).await?;
    if answer.status.is_success() { Ok(()) } else { Err(TellError::Refused(answer.status)) }
}

fn claims(
    issuer: &str,
    client_id: &str,
    (account, session): (Uuid, Uuid),
    id: Uuid,
    now: OffsetDateTime,
) -> Value {
    json!({
        "iss": issuer,
        "sub": account,
        "aud": client_id,
        "iat": now.unix_timestamp(),
        "exp": (now + LASTS).unix_timestamp(),
        "jti": id,
        "events": { EVENT: {} },
        "sid": session,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logout_token_is_no_id_token() {
        let claims = claims(
            "https://id.example",
            "app",
            (Uuid::from_u128(1), Uuid::from_u128(2)),
            Uuid::nil(),
            OffsetDateTime::UNIX_EPOCH,
        );
        assert!(claims.get("nonce").is_none());
        assert_eq!(claims["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
        assert_eq!(claims["exp"], 120);
        assert_eq!(claims["sid"], Uuid::from_u128(2).to_string());
    }
}
