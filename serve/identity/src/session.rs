//! Browsers in which somebody is signed in at the issuer.

use axum::http::{HeaderMap, HeaderValue};
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::state::Broker;

/// The prefix makes browsers refuse it from anybody but this host, over TLS.
pub const COOKIE: &str = "__Host-session";

/// A browser in which somebody is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserSession {
    /// What ID tokens call `sid`; it is no secret.
    pub id: Uuid,
    /// Who is signed in.
    pub account: Uuid,
    /// With which login provider.
    pub provider: String,
    /// When the person proved who they are.
    pub authenticated_at: OffsetDateTime,
}

/// The session of the browser that has sent the headers, if it has one that has not ended.
///
/// # Errors
/// The problem of the database.
pub async fn current(broker: &Broker, headers: &HeaderMap) -> Result<Option<BrowserSession>, Problem> {
    let _ = (broker, headers);
    Err(Problem::new(&codes::INTERNAL))
}

/// The header `Set-Cookie` that takes the session's cookie away.
#[must_use]
pub fn clear_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// Begins a session with a secret of its own, and ends the `previous` one of this browser; with the header `Set-Cookie` that
/// hands the secret out.
///
/// # Errors
/// The problem of the database.
pub async fn begin(
    broker: &Broker,
    context: &RequestContext,
    account: Uuid,
    provider: &str,
    previous: Option<&BrowserSession>,
) -> Result<(BrowserSession, HeaderValue), Problem> {
    let _ = (broker, context, account, provider, previous);
    Err(Problem::new(&codes::INTERNAL))
}
