//! What the issuer's tokens say, and whether it is meant for this application, now.

use std::collections::HashMap;

use foundation::jwt::JwtError;
use jsonwebtoken::Header;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

/// Clocks may be this many seconds apart.
const SKEW: f64 = 60.0;
/// A token that was issued more seconds ago is not the answer to anything that is still asked.
pub const MOST_AGE: f64 = 600.0;
/// Bytes of a subject (OpenID Connect Core 1.0, section 2).
const LONGEST_SUBJECT: usize = 255;
/// What makes a token one that ends sessions.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a token that the issuer has signed.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// It is a token of another kind.
    #[error("it is a token of another kind")]
    Kind,
    /// Another issuer has made it.
    #[error("it is another issuer's")]
    Issuer,
    /// It is for another application.
    #[error("it is for another application")]
    Audience,
    /// It does not say when it was issued or ends.
    #[error("it does not say when it was issued or ends")]
    Timeless,
    /// It has ended, or was issued too long ago.
    #[error("it is too old")]
    Old,
    /// It is for a later time.
    #[error("it is for a later time")]
    Early,
    /// It is the answer to another question.
    #[error("it is the answer to another question")]
    Nonce,
    /// It names nobody.
    #[error("it names nobody")]
    Subject,
    /// It has no name by which it would be known again.
    #[error("it has no name by which it would be known again")]
    Nameless,
    /// It was used before.
    #[error("it was used before")]
    Replayed,
}

impl TokenError {
    /// A stable name, for the audit log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Jwt(JwtError::Malformed) => "token-malformed",
            Self::Jwt(JwtError::Algorithm) => "token-algorithm",
            Self::Jwt(JwtError::NotSigned) => "token-not-signed",
            Self::Kind => "token-kind",
            Self::Issuer => "token-issuer",
            Self::Audience => "token-audience",
            Self::Timeless => "token-timeless",
            Self::Old => "token-old",
            Self::Early => "token-early",
            Self::Nonce => "token-nonce",
            Self::Subject => "token-subject",
            Self::Nameless => "token-nameless",
            Self::Replayed => "token-replayed",
        }
    }
}

/// What a token must fit.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The issuer's name.
    pub issuer: &'a str,
    /// The application's name at the issuer.
    pub client_id: &'a str,
    /// The moment.
    pub now: OffsetDateTime,
}

/// For whom a token is: one or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// What every token of the issuer says.
#[derive(Debug, Clone, Deserialize)]
struct Common {
    iss: String,
    aud: Audience,
    azp: Option<String>,
    sub: Option<String>,
    sid: Option<String>,
    nonce: Option<String>,
    /// Seconds since 1970, as the two below.
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
}

impl Common {
    fn check(&self, expected: &Expected<'_>) -> Result<(), TokenError> {
        if self.iss != expected.issuer {
            return Err(TokenError::Issuer);
        }
        let (ours, others) = match &self.aud {
            Audience::One(one) => (one == expected.client_id, false),
            Audience::Many(many) => (many.iter().any(|one| one == expected.client_id), many.len() > 1),
        };
        // Who it was issued to is said where that is not clear, and must be us wherever it is said.
        let party = self.azp.as_ref().map_or(!others, |party| party == expected.client_id);
        if !ours || !party {
            return Err(TokenError::Audience);
        }
        #[allow(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
        let now = expected.now.unix_timestamp() as f64;
        let issued = self.iat.ok_or(TokenError::Timeless)?;
        if issued > now + SKEW || self.nbf.is_some_and(|start| start > now + SKEW) {
            return Err(TokenError::Early);
        }
        if issued < now - MOST_AGE - SKEW || self.exp.is_some_and(|end| end <= now - SKEW) {
            return Err(TokenError::Old);
        }
        Ok(())
    }

    fn subject(&self) -> Result<Option<&String>, TokenError> {
        let fits = |subject: &&String| {
            (1..=LONGEST_SUBJECT).contains(&subject.len()) && !subject.chars().any(char::is_control)
        };
        match &self.sub {
            Some(subject) if !fits(&subject) => Err(TokenError::Subject),
            subject => Ok(subject.as_ref()),
        }
    }
}

/// A token's own word on what it is: nothing, the general one, or `own`.
fn is_kind(header: &Header, own: Option<&str>) -> bool {
    header.typ.as_deref().is_none_or(|kind| {
        let kind = kind.to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        kind == "jwt" || Some(kind) == own
    })
}

/// What an ID token says: who somebody is.
#[derive(Debug, Clone, Deserialize)]
pub struct IdToken {
    #[serde(flatten)]
    common: Common,
    email: Option<String>,
    /// Some issuers write it as a text.
    email_verified: Option<Value>,
    name: Option<String>,
    preferred_username: Option<String>,
}

/// Who signs in, in the issuer's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Somebody {
    /// The issuer's name of the person.
    pub subject: String,
    /// The issuer's session, if it named one.
    pub sid: Option<String>,
    /// An address that is the person's, as the issuer has verified.
    pub email: Option<String>,
    /// What the person is called; empty where the issuer does not say.
    pub name: String,
}

impl IdToken {
    /// Who it is, if the token is the answer to the question with this nonce (OpenID Connect Core 1.0, section 3.1.3.7).
    pub fn check(
        self,
        header: &Header,
        expected: &Expected<'_>,
        nonce: &str,
    ) -> Result<Somebody, TokenError> {
        if !is_kind(header, None) {
            return Err(TokenError::Kind);
        }
        self.common.check(expected)?;
        self.common.exp.ok_or(TokenError::Timeless)?;
        if self.common.nonce.as_deref() != Some(nonce) {
            return Err(TokenError::Nonce);
        }
        let subject = self.common.subject()?.ok_or(TokenError::Subject)?.clone();
        let verified = self.email_verified.is_some_and(|said| said == true || said == "true");
        Ok(Somebody {
            subject,
            sid: self.common.sid,
            email: self.email.map(line).filter(|email| verified && email.contains('@')),
            name: self.name.or(self.preferred_username).map(line).unwrap_or_default(),
        })
    }
}

/// A text of the issuer's as something that can be kept and shown in one line.
fn line(text: String) -> String {
    let shown: String = text.chars().filter(|each| !each.is_control()).take(200).collect();
    shown.trim().to_owned()
}

/// What a logout token says: whose sessions have ended at the issuer.
#[derive(Debug, Clone, Deserialize)]
pub struct LogoutToken {
    #[serde(flatten)]
    common: Common,
    jti: Option<String>,
    #[serde(default)]
    events: HashMap<String, Value>,
}

/// Whose sessions have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Those that began by this session of the issuer.
    Session(String),
    /// All of whom the issuer names so.
    Subject(String),
}

/// A logout token that is believed, unless it was used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logout {
    /// Whose sessions.
    pub ended: Ended,
    /// Names the token, to know it again.
    pub id: String,
}

impl LogoutToken {
    /// Whose sessions it ends (OpenID Connect Back-Channel Logout 1.0, section 2.6).
    pub fn check(self, header: &Header, expected: &Expected<'_>) -> Result<Logout, TokenError> {
        let is_logout = self.events.get(LOGOUT).is_some_and(Value::is_object);
        // A nonce is an ID token's, which must not be taken for this.
        if !is_kind(header, Some("logout+jwt")) || !is_logout || self.common.nonce.is_some() {
            return Err(TokenError::Kind);
        }
        self.common.check(expected)?;
        let id = self.jti.filter(|id| !id.is_empty()).ok_or(TokenError::Nameless)?;
        let subject = self.common.subject()?.cloned();
        let ended = match (self.common.sid.filter(|sid| !sid.is_empty()), subject) {
            (Some(sid), _) => Ended::Session(sid),
            (None, Some(subject)) => Ended::Subject(subject),
            (None, None) => return Err(TokenError::Subject),
        };
        Ok(Logout { ended, id })
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
