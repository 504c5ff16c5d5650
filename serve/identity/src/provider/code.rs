//! A code becomes tokens: once, for the client that it was given to, where it was sent, by whoever has the verifier.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use foundation::audit::{Event, Outcome};
use foundation::request::RequestContext;
use foundation::write::idempotency::Answer;
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::grant::{self, Grant, of_grant, with_grant};
use super::issue::{self, Issued, Wanted};
use super::parameters::Parameters;
use super::refusal::{Failure, Refusal};
use super::{client, origin};
use crate::request::NamedClaims;
use crate::secret;
use crate::settings::Client;
use crate::state::Broker;

// Whoever comes second waits here for the first, and then finds the code used. One row whatever there is.
const USE: &str = concat!(
    "WITH claimed AS (UPDATE codes SET used_at = $2 WHERE hash = $1 AND used_at IS NULL RETURNING hash) \
     SELECT codes.hash IS NOT NULL AS is_known, claimed.hash IS NOT NULL AS is_first, codes.redirect_uri, codes.nonce, \
     codes.challenge, codes.claims, codes.expires_at, ",
    of_grant!(),
    " FROM (VALUES (1)) AS always LEFT JOIN codes ON codes.hash = $1 LEFT JOIN claimed ON true ",
    with_grant!("codes")
);

/// A code as it was when it was used.
struct Code {
    is_first: bool,
    redirect_uri: String,
    nonce: Option<String>,
    challenge: Option<String>,
    claims: Option<NamedClaims>,
    expires_at: OffsetDateTime,
    grant: Grant,
}

/// Why a code is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// It was not given to this client, whose business it then is not.
    Client,
    /// It has ended, by itself or with its grant.
    Ended,
    /// It is used in another way than whoever it was given to would: it was stolen, or slipped in.
    Misused(&'static str),
}

impl Code {
    fn read(row: &Row) -> Option<Self> {
        row.get::<_, bool>("is_known").then(|| Self {
            is_first: row.get("is_first"),
            redirect_uri: row.get("redirect_uri"),
            nonce: row.get("nonce"),
            challenge: row.get("challenge"),
            claims: named(row),
            expires_at: row.get("expires_at"),
            grant: Grant::read(row),
        })
    }

    fn check(&self, client: &Client, asked: &Asked<'_>, now: OffsetDateTime) -> Result<(), Wrong> {
        if self.grant.client_id != client.id {
            return Err(Wrong::Client);
        }
        if !self.is_first {
            return Err(Wrong::Misused("code-used-again"));
        }
        if now >= self.expires_at || !self.grant.is_alive {
            return Err(Wrong::Ended);
        }
        if asked.redirect_uri != Some(&self.redirect_uri) {
            return Err(Wrong::Misused("code-redirect-uri"));
        }
        is_verified(self.challenge.as_deref(), asked.verifier)
    }
}

/// A challenge wants its verifier. A verifier without a challenge means that somebody took the challenge out of the request on
/// its way here (RFC 9700, section 4.8.2).
fn is_verified(challenge: Option<&str>, verifier: Option<&str>) -> Result<(), Wrong> {
    match (challenge, verifier) {
        (None, None) => Ok(()),
        (Some(challenge), Some(verifier)) if (43..=128).contains(&verifier.len()) => {
            let hash = secret::hash_text(verifier);
            verify_slices_are_equal(challenge.as_bytes(), hash.as_bytes())
                .map_err(|_| Wrong::Misused("code-verifier"))
        }
        (Some(_), Some(_)) => Err(Wrong::Misused("code-verifier")),
        (Some(_), None) => Err(Wrong::Misused("code-without-verifier")),
        (None, Some(_)) => Err(Wrong::Misused("code-without-challenge")),
    }
}

/// The claims that were named with what a row is of.
pub fn named(row: &Row) -> Option<NamedClaims> {
    let value: Option<serde_json::Value> = row.get("claims");
    value.and_then(|value| serde_json::from_value(value).ok())
}

struct Asked<'a> {
    redirect_uri: Option<&'a str>,
    verifier: Option<&'a str>,
}

/// Redeems a code.
///
/// # Errors
/// A refusal, or the problem of the database.
pub async fn redeem(
    broker: &Broker,
    context: &RequestContext,
    client: &Client,
    parameters: &Parameters,
) -> Result<Issued, Failure> {
    let code =
        parameters.get("code").ok_or_else(|| Refusal::invalid_request("The parameter code is missing."))?;
    let asked =
        Asked { redirect_uri: parameters.get("redirect_uri"), verifier: parameters.get("code_verifier") };
    let refused = || Refusal::invalid_grant("The code is unknown, used, ended, or was not given out so.");
    let wrong = async || client::brought_wrong(broker, context, client, refused()).await;
    if !secret::is_one(code) {
        return Err(wrong().await);
    }
    let signer = broker.provider.keys.signer(client.algorithm).await?;
    let (hash, now) = (secret::hash(code), broker.clock.now());
    let (mut unit, row) = broker.writes.begin_asking(&origin(context), USE, &[&&hash[..], &now]).await?;
    let Some(code) = Code::read(&row) else {
        drop(unit);
        return Err(wrong().await);
    };
    match code.check(client, &asked, now) {
        Ok(()) => {}
        Err(Wrong::Ended) => return Err(refused().into()),
        Err(Wrong::Client) => {
            drop(unit);
            broker.provider.counts.refused("code-of-another-client");
            let event = Event::new("code.redeem", "grant").of(code.grant.id).outcome(Outcome::Denied);
            let event = event.changed("reason", (), "client").changed("client", (), client.id.as_str());
            broker.writes.record(&origin(context), event).await?;
            return Err(wrong().await);
        }
        Err(Wrong::Misused(reason)) => {
            broker.provider.counts.refused(reason);
            grant::end_misused(unit, &code.grant, reason).await?;
            return Err(refused().into());
        }
    }
    let wanted = Wanted {
        signer: &signer,
        issuer: &broker.issuer,
        scope: &code.grant.scope,
        claims: code.claims,
        nonce: code.nonce,
    };
    let issued = issue::issue(&mut unit, &code.grant, wanted)?;
    unit.end(Ok(Answer::empty(axum::http::StatusCode::NO_CONTENT))).await?;
    Ok(issued)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_and_its_verifier_belong_together() {
        // RFC 7636, appendix B.
        let (challenge, verifier) =
            ("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(is_verified(Some(challenge), Some(verifier)), Ok(()));
        assert_eq!(is_verified(None, None), Ok(()));
        for (challenge, verifier, reason) in [
            (Some(challenge), Some(challenge), "code-verifier"),
            (Some(challenge), Some("short"), "code-verifier"),
            (Some(challenge), None, "code-without-verifier"),
            (None, Some(verifier), "code-without-challenge"),
        ] {
            assert_eq!(is_verified(challenge, verifier), Err(Wrong::Misused(reason)));
        }
    }
}
