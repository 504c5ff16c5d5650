//! ID tokens that come back as a hint of who is meant: those that this issuer has signed, however old.

use foundation::jwt::JwtError;
use foundation::problem::Problem;
use serde::Deserialize;
use uuid::Uuid;

use crate::state::Broker;

/// Whom a hint means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The account.
    pub subject: Uuid,
    /// The client that the token was for.
    pub client_id: String,
    /// The session in which it was given out.
    pub session: Option<Uuid>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: Uuid,
    aud: String,
    sid: Option<Uuid>,
}

/// Whom the token means; nobody, where this issuer has not signed it.
///
/// # Errors
/// The problem of the database.
pub async fn read(broker: &Broker, token: &str) -> Result<Option<Hint>, Problem> {
    let keys = &broker.provider.keys;
    let mut verified = keys.own().await?.verify::<Claims>(token);
    if matches!(verified, Err(JwtError::NotSigned)) {
        verified = keys.own_anew().await?.verify(token);
    }
    // Logout tokens are signed by the same keys, and are for something else.
    let claims = verified
        .ok()
        .filter(|(header, claims)| header.typ.as_deref() == Some("JWT") && claims.iss == broker.issuer);
    Ok(claims.map(|(_, claims)| Hint { subject: claims.sub, client_id: claims.aud, session: claims.sid }))
}
