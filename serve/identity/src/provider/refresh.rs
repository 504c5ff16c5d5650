//! A refresh token becomes new tokens, and is used up by it. Whoever uses it again has what it should not have, or lost what it
//! was given: the grant ends with everything that was issued on it. There is no grace for an answer that was lost, because
//! nobody could tell it from a thief's.

use foundation::request::RequestContext;
use foundation::write::idempotency::Answer;
use time::OffsetDateTime;

use super::claims::has_scope;
use super::code::named;
use super::grant::{self, Grant, of_grant, with_grant};
use super::issue::{self, Issued, Wanted};
use super::parameters::Parameters;
use super::refusal::{Failure, Refusal};
use super::{client, origin};
use crate::secret;
use crate::settings::Client;
use crate::state::Broker;

// Whoever comes second waits here for the first, and then finds the token used. One row whatever there is.
const USE: &str = concat!(
    "WITH claimed AS (UPDATE issued_tokens SET used_at = $2 \
     WHERE hash = $1 AND kind = 'refresh' AND used_at IS NULL RETURNING hash) \
     SELECT tokens.hash IS NOT NULL AS is_known, claimed.hash IS NOT NULL AS is_first, tokens.claims, tokens.expires_at, ",
    of_grant!(),
    " FROM (VALUES (1)) AS always LEFT JOIN issued_tokens AS tokens ON tokens.hash = $1 AND tokens.kind = 'refresh' \
     LEFT JOIN claimed ON true ",
    with_grant!("tokens")
);

/// Redeems a refresh token.
///
/// # Errors
/// A refusal, or the problem of the database.
pub async fn redeem(
    broker: &Broker,
    context: &RequestContext,
    client: &Client,
    parameters: &Parameters,
) -> Result<Issued, Failure> {
    let missing = || Refusal::invalid_request("The parameter refresh_token is missing.");
    let refused =
        || Refusal::invalid_grant("The refresh token is unknown, used, ended, or another client's.");
    let token = parameters.get("refresh_token").ok_or_else(missing)?;
    let wrong = async || client::brought_wrong(broker, context, client, refused()).await;
    if !secret::is_one(token) {
        return Err(wrong().await);
    }
    let signer = broker.provider.keys.signer(client.algorithm).await?;
    let (hash, now) = (secret::hash(token), broker.clock.now());
    let (mut unit, row) = broker.writes.begin_asking(&origin(context), USE, &[&&hash[..], &now]).await?;
    if !row.get::<_, bool>("is_known") {
        drop(unit);
        return Err(wrong().await);
    }
    let grant = Grant::read(&row);
    if grant.client_id != client.id {
        broker.provider.counts.refused("refresh-token-of-another-client");
        drop(unit);
        return Err(wrong().await);
    }
    if !row.get::<_, bool>("is_first") {
        let reason = "refresh-token-used-again";
        broker.provider.counts.refused(reason);
        grant::end_misused(unit, &grant, reason).await?;
        return Err(refused().into());
    }
    if now >= row.get::<_, OffsetDateTime>("expires_at") || !grant.is_alive {
        return Err(refused().into());
    }
    // Nothing is used up by a request that cannot be followed: the write ends undone.
    let scope = narrowed(&grant.scope, parameters.get("scope"))?;
    let wanted =
        Wanted { signer: &signer, issuer: &broker.issuer, scope: &scope, claims: named(&row), nonce: None };
    let issued = issue::issue(&mut unit, &grant, wanted)?;
    unit.end(Ok(Answer::empty(axum::http::StatusCode::NO_CONTENT))).await?;
    Ok(issued)
}

/// The scope that is asked for: all that was granted, or less.
fn narrowed(granted: &str, asked: Option<&str>) -> Result<String, Refusal> {
    let Some(asked) = asked else { return Ok(granted.to_owned()) };
    if asked.split(' ').any(|scope| !has_scope(granted, scope)) {
        return Err(Refusal::bad("invalid_scope", "The scope is more than what was granted."));
    }
    let kept: Vec<&str> = granted.split(' ').filter(|scope| has_scope(asked, scope)).collect();
    Ok(kept.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_becomes_less_and_never_more() {
        let of = |asked| narrowed("openid email offline_access", asked).map_err(|refusal| refusal.error());
        assert_eq!(of(None).unwrap(), "openid email offline_access");
        assert_eq!(of(Some("email openid")).unwrap(), "openid email");
        assert_eq!(of(Some("openid profile")), Err("invalid_scope"));
        assert_eq!(of(Some("mail")), Err("invalid_scope"));
    }
}
