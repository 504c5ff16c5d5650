//! What a client gets for a grant: an access token, an ID token, and a refresh token where it may act while the person is
//! away.

use std::time::Duration;

use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, PRAGMA};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::problem::{Problem, codes};
use foundation::write::Unit;
use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use super::claims::has_scope;
use super::grant::Grant;
use super::refusal::NO_STORE;
use crate::keys::Pair;
use crate::request::NamedClaims;
use crate::secret;

/// How long an access token is good.
pub const ACCESS: Duration = Duration::from_secs(600);
/// How long an ID token says who somebody is.
const ID_TOKEN: Duration = Duration::from_secs(600);
/// How long a refresh token waits to be used.
const REFRESH: Duration = Duration::from_secs(30 * 86_400);

const INSERT: &str = "INSERT INTO issued_tokens (hash, grant_id, kind, scope, claims, created_at, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// What goes into tokens beside the grant.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// With what the ID token is signed.
    pub signer: &'a Pair,
    /// The issuer's name.
    pub issuer: &'a str,
    /// What the access token is for: the grant's scope, or less of it.
    pub scope: &'a str,
    /// What the request named.
    pub claims: Option<NamedClaims>,
    /// The request's nonce.
    pub nonce: Option<String>,
}

/// The answer of the token endpoint (RFC 6749, section 5.1; OpenID Connect Core 1.0, section 3.1.3.3).
#[derive(Debug, Serialize)]
pub struct Issued {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

impl IntoResponse for Issued {
    fn into_response(self) -> Response {
        no_store(axum::Json(self).into_response())
    }
}

/// Nobody on the way keeps it, also not what is older than HTTP 1.1.
pub fn no_store(mut response: Response) -> Response {
    let old: HeaderName = PRAGMA;
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response.headers_mut().insert(old, axum::http::HeaderValue::from_static("no-cache"));
    response
}

/// Issues tokens with the write.
///
/// # Errors
/// A problem where nothing can be signed.
pub fn issue(unit: &mut Unit, grant: &Grant, wanted: Wanted<'_>) -> Result<Issued, Problem> {
    let access_token = secret::new(unit.randomness());
    let claims = wanted.claims.as_ref().and_then(|claims| serde_json::to_value(claims).ok());
    keep(unit, grant.id, Kind::Access, &access_token, wanted.scope, claims.clone());
    let refresh_token = has_scope(&grant.scope, "offline_access").then(|| secret::new(unit.randomness()));
    if let Some(token) = &refresh_token {
        // What a client asks less for once, it may have again later (RFC 6749, section 6).
        keep(unit, grant.id, Kind::Refresh, token, &grant.scope, claims);
    }
    let id_token = has_scope(wanted.scope, "openid").then(|| {
        let claims = id_token(grant, &wanted, &access_token, unit.now());
        wanted.signer.token("JWT", &claims)
    });
    let id_token = id_token.transpose().map_err(|error| {
        tracing::error!(%error, "an ID token cannot be signed");
        Problem::new(&codes::INTERNAL)
    })?;
    Ok(Issued {
        access_token,
        token_type: "Bearer",
        expires_in: ACCESS.as_secs(),
        scope: wanted.scope.to_owned(),
        id_token,
        refresh_token,
    })
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Access,
    Refresh,
}

fn keep(unit: &mut Unit, grant: Uuid, kind: Kind, token: &str, scope: &str, claims: Option<Value>) {
    let (kind, lasts) = match kind {
        Kind::Access => ("access", ACCESS),
        Kind::Refresh => ("refresh", REFRESH),
    };
    let now = unit.now();
    let values = vec![
        Box::new(secret::hash(token).to_vec()) as _,
        Box::new(grant) as _,
        Box::new(kind) as _,
        Box::new(scope.to_owned()) as _,
        Box::new(claims) as _,
        Box::new(now) as _,
        Box::new(now + lasts) as _,
    ];
    unit.transaction.later(INSERT, values);
}

/// What the ID token says (OpenID Connect Core 1.0, section 2). The claims of the scopes are in it as well, since every client
/// gets it straight from here and most want to know nothing else.
fn id_token(
    grant: &Grant,
    wanted: &Wanted<'_>,
    access_token: &str,
    now: OffsetDateTime,
) -> Map<String, Value> {
    let issued = now.unix_timestamp();
    let mut claims = Map::new();
    let mut say = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    say("iss", wanted.issuer.into());
    say("sub", grant.account.to_string().into());
    say("aud", grant.client_id.as_str().into());
    say("exp", (now + ID_TOKEN).unix_timestamp().into());
    say("iat", issued.into());
    say("auth_time", grant.authenticated_at.unix_timestamp().into());
    say("at_hash", left_half(access_token).into());
    if let Some(nonce) = &wanted.nonce {
        say("nonce", nonce.as_str().into());
    }
    if let Some(session) = grant.session {
        say("sid", session.to_string().into());
    }
    if let Some(provider) = &grant.provider {
        say("idp", provider.as_str().into());
    }
    let named = wanted.claims.as_ref().map(|claims| claims.id_token.as_slice()).unwrap_or_default();
    grant.person.say(wanted.scope, named, &mut claims);
    claims
}

/// By which an ID token names the access token that came with it (OpenID Connect Core 1.0, section 3.1.3.6).
fn left_half(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(&secret::hash(token)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_token_is_named_by_half_its_hash() {
        // OpenID Connect Core 1.0, appendix A.4.
        assert_eq!(left_half("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
