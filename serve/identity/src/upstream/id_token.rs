//! What an ID token says, and whether it is the answer to what was asked (OpenID Connect Core 1.0, section 3.1.3.7).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Header;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::error::TokenError;
use crate::secret;

/// Clocks may be this many seconds apart.
pub const SKEW: f64 = 60.0;
/// A token that was issued more seconds ago is not the answer to anything that is still asked.
const MOST_AGE: f64 = 600.0;

/// For whom a token is: one or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Audience {
    /// Whether it is for this client, and whether for others as well.
    pub fn has(&self, client_id: &str) -> (bool, bool) {
        match self {
            Self::One(one) => (one == client_id, false),
            Self::Many(many) => (many.iter().any(|one| one == client_id), many.len() > 1),
        }
    }
}

/// What an ID token says. Each provider has some of it.
#[derive(Debug, Clone, Deserialize)]
pub struct IdToken {
    /// Who says it.
    pub iss: String,
    aud: Audience,
    azp: Option<String>,
    /// Of whom.
    #[serde(default)]
    pub sub: String,
    nonce: Option<String>,
    /// Seconds since 1970, as the two below.
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    at_hash: Option<String>,
    /// When the person signed in, where the provider says that.
    pub auth_time: Option<f64>,
    /// The address.
    pub email: Option<String>,
    /// Whether it is the person's; some write it as a text.
    pub email_verified: Option<Value>,
    /// The whole name.
    pub name: Option<String>,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// Where a picture is.
    pub picture: Option<String>,
    /// The Workspace domain (Google).
    pub hd: Option<String>,
    /// The tenant (Microsoft).
    pub tid: Option<String>,
    /// The person's object in the tenant (Microsoft).
    pub oid: Option<String>,
    /// Whether the owner of the address's domain has been verified (Microsoft).
    pub xms_edov: Option<Value>,
    /// Whether the address is a relay (Apple).
    pub is_private_email: Option<Value>,
}

/// What an ID token must fit.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// What the provider calls the issuer.
    pub client_id: &'a str,
    /// The question.
    pub nonce: &'a str,
    /// The access token that came with it.
    pub access: &'a str,
    /// How many seconds ago the person may have signed in, where that was asked for.
    pub max_age: Option<u64>,
    /// The moment.
    pub now: OffsetDateTime,
}

impl IdToken {
    /// Whether it is the answer to what was asked. Whose it is depends on the provider, and is compared elsewhere.
    pub fn check(&self, header: &Header, expected: &Expected<'_>) -> Result<(), TokenError> {
        if header.typ.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("jwt")) {
            return Err(TokenError::Kind);
        }
        let (ours, others) = self.aud.has(expected.client_id);
        // Who it was issued to is said where that is not clear, and must be us wherever it is said.
        let party = self.azp.as_ref().map_or(!others, |party| party == expected.client_id);
        if !ours || !party {
            return Err(TokenError::Audience);
        }
        let now = seconds(expected.now);
        let (issued, ends) = (self.iat.ok_or(TokenError::Timeless)?, self.exp.ok_or(TokenError::Timeless)?);
        if issued > now + SKEW || self.nbf.is_some_and(|start| start > now + SKEW) {
            return Err(TokenError::Early);
        }
        if issued < now - MOST_AGE - SKEW || ends <= now - SKEW {
            return Err(TokenError::Old);
        }
        if self.nonce.as_deref() != Some(expected.nonce) {
            return Err(TokenError::Nonce);
        }
        if let Some(most) = expected.max_age {
            let signed_in = self.auth_time.ok_or(TokenError::Undated)?;
            if signed_in > now + SKEW {
                return Err(TokenError::Early);
            }
            if now - signed_in > Duration::from_secs(most).as_secs_f64() + SKEW {
                return Err(TokenError::Stale);
            }
        }
        if self.at_hash.as_ref().is_some_and(|hash| *hash != half_hash(expected.access)) {
            return Err(TokenError::AccessToken);
        }
        Ok(())
    }
}

/// The left half of the SHA-256: all accepted algorithms are of that size.
fn half_hash(access: &str) -> String {
    URL_SAFE_NO_PAD.encode(&secret::hash(access)[..16])
}

/// A moment as tokens have it.
pub fn seconds(at: OffsetDateTime) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
    let seconds = at.unix_timestamp() as f64;
    seconds
}

/// A moment that a token has; none where there is no such moment.
pub fn moment(seconds: f64) -> Option<OffsetDateTime> {
    let whole = Duration::try_from_secs_f64(seconds).ok()?.as_secs();
    OffsetDateTime::from_unix_timestamp(whole.try_into().ok()?).ok()
}

/// Whether a value that some write as a text, and some as a number, says yes.
pub fn says_yes(value: Option<&Value>) -> bool {
    value.is_some_and(|value| *value == true || *value == 1 || *value == "true" || *value == "1")
}

#[cfg(test)]
#[path = "id_token_tests.rs"]
mod tests;
