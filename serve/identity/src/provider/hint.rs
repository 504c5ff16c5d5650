//! ID tokens that come back as a hint of who is meant: those that this issuer has signed, however old.

use foundation::jwt::{JwtError, KeySet};
use foundation::problem::Problem;
use foundation::request::RequestContext;
use serde::Deserialize;
use uuid::Uuid;

use crate::state::Broker;
use crate::throttle::{self, Pace, Tried};

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
/// The problem of the database, or of too many that it has not signed.
pub async fn read(broker: &Broker, context: &RequestContext, token: &str) -> Result<Option<Hint>, Problem> {
    let keys = &broker.provider.keys;
    let mut meant = judge(&*keys.own().await?, &broker.issuer, token);
    if meant == Err(JwtError::NotSigned) {
        meant = judge(&*keys.own_anew().await?, &broker.issuer, token);
    }
    let hint = meant.ok().flatten();
    if hint.is_none()
        && let Pace::Late(wait) | Pace::Crowded(wait) =
            broker.throttle.wrong(Tried::Hint, context.address, broker.clock.now()).await
    {
        return Err(throttle::problem(wait));
    }
    Ok(hint)
}

/// Whom the token means, where it is signed by one of the keys; nobody, where it is no ID token of this issuer.
fn judge(keys: &KeySet, issuer: &str, token: &str) -> Result<Option<Hint>, JwtError> {
    let (header, claims) = keys.verify::<Claims>(token)?;
    // Logout tokens are signed by the same keys, and are for something else.
    let is_ours = header.typ.as_deref() == Some("JWT") && claims.iss == issuer;
    Ok(is_ours.then_some(Hint { subject: claims.sub, client_id: claims.aud, session: claims.sid }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Pair;
    use crate::settings::Algorithm;
    use serde_json::{Value, json};

    #[test]
    fn a_hint_is_an_id_token_of_this_issuer_however_old() {
        let pair = Pair::make(Algorithm::ES256).unwrap();
        let set = json!({ "keys": [pair.published("")] });
        let keys = KeySet::of(serde_json::from_value(set).unwrap());
        let claims = json!({
            "iss": "https://id.example", "sub": Uuid::from_u128(1), "aud": "app", "sid": Uuid::from_u128(2), "exp": 1
        });
        let meant = |kind: &str, changes: Value| {
            let mut claims = claims.clone();
            for (name, value) in changes.as_object().unwrap() {
                claims[name] = value.clone();
            }
            judge(&keys, "https://id.example", &pair.token(kind, &claims).unwrap())
        };
        let hint = Hint {
            subject: Uuid::from_u128(1),
            client_id: "app".to_owned(),
            session: Some(Uuid::from_u128(2)),
        };
        assert_eq!(meant("JWT", json!({})), Ok(Some(hint)));
        assert_eq!(meant("JWT", json!({ "iss": "https://other.example" })), Ok(None));
        assert_eq!(meant("logout+jwt", json!({})), Ok(None));
        assert_eq!(meant("JWT", json!({ "sub": "somebody" })), Err(JwtError::Malformed));
        let other = Pair::make(Algorithm::ES256).unwrap().token("JWT", &claims).unwrap();
        assert_eq!(judge(&keys, "https://id.example", &other), Err(JwtError::NotSigned));
    }
}
