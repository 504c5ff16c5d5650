//! Clients that prove who they are by an assertion that they sign (`private_key_jwt`: OpenID Connect Core 1.0, section 9; RFC
//! 7523): for this issuer, for a short time, and once.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::database::{Database, DatabaseError};
use foundation::jwt::KeySet;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::secret;

/// What `client_assertion_type` says.
pub const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Clocks may be this many seconds apart.
const SKEW: f64 = 60.0;
/// An assertion is good for no longer: that long its name is kept.
const LONGEST: f64 = 600.0;
/// Characters of a name.
const NAME: usize = 255;

const USE: &str =
    "INSERT INTO used_assertions (issuer, hash, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

/// For whom it is: one or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    /// Seconds since 1970, as the two below.
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    jti: String,
}

/// In whose name an assertion is, before anything of it is believed.
#[must_use]
pub fn named(assertion: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Subject {
        sub: String,
    }
    let payload = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Subject>(&payload).ok().map(|claims| claims.sub)
}

/// An assertion that is good, unless it was used before.
#[derive(Debug, PartialEq, Eq)]
pub struct Good {
    hash: secret::Hash,
    expires_at: OffsetDateTime,
}

/// Whether the assertion is the client's, for one of these audiences, now.
#[must_use]
pub fn check(
    assertion: &str,
    keys: &KeySet,
    client_id: &str,
    audiences: &[&str],
    now: OffsetDateTime,
) -> Option<Good> {
    let (_, claims) = keys.verify::<Claims>(assertion).ok()?;
    #[allow(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
    let seconds = now.unix_timestamp() as f64;
    let is_here = |audience: &String| audiences.contains(&audience.as_str());
    let is_for_us = match &claims.aud {
        Audience::One(one) => is_here(one),
        // What is for others as well, others could use.
        Audience::Many(many) => !many.is_empty() && many.iter().all(is_here),
    };
    let in_time = claims.exp > seconds - SKEW
        && claims.exp <= seconds + LONGEST + SKEW
        && claims.nbf.is_none_or(|start| start <= seconds + SKEW)
        && claims.iat.is_none_or(|at| at <= seconds + SKEW && at >= seconds - LONGEST - SKEW);
    let is_named = (1..=NAME).contains(&claims.jti.len());
    let good = claims.iss == client_id && claims.sub == client_id && is_for_us && in_time && is_named;
    good.then(|| Good {
        hash: secret::hash(&claims.jti),
        expires_at: now + Duration::from_secs_f64(LONGEST + 3.0 * SKEW),
    })
}

/// Whether it is used for the first time.
///
/// # Errors
/// [`DatabaseError`]; it must then not be believed.
pub async fn is_first(database: &Database, client_id: &str, good: &Good) -> Result<bool, DatabaseError> {
    let used = database
        .ask(async |client| {
            let statement = client.prepare_cached(USE).await?;
            client.execute(&statement, &[&client_id, &&good.hash[..], &good.expires_at]).await
        })
        .await?;
    Ok(used == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Pair;
    use crate::settings::Algorithm;
    use serde_json::{Value, json};

    const NOW: i64 = 1_800_000_000;
    const HERE: [&str; 2] = ["https://id.example", "https://id.example/token"];

    fn claims(changes: &Value) -> Value {
        let mut claims = json!({
            "iss": "app", "sub": "app", "aud": HERE[1], "exp": NOW + 300, "iat": NOW, "jti": "1"
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    #[test]
    fn an_assertion_is_for_here_and_now_and_by_the_client() {
        let pair = Pair::make(Algorithm::ES256).unwrap();
        let set = |pair: &Pair| {
            KeySet::of(serde_json::from_value(json!({ "keys": [pair.published("")] })).unwrap())
        };
        let keys = set(&pair);
        let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
        let is_good = |changes: Value| {
            let token = pair.token("JWT", &claims(&changes)).unwrap();
            check(&token, &keys, "app", &HERE, now).is_some()
        };
        assert!(is_good(json!({})));
        assert!(is_good(json!({ "aud": [HERE[0]], "iat": null })));
        for changes in [
            json!({ "iss": "other" }),
            json!({ "sub": "other" }),
            json!({ "aud": "https://elsewhere.example" }),
            json!({ "aud": [] }),
            json!({ "aud": [HERE[0], "https://elsewhere.example"] }),
            json!({ "exp": NOW - 61 }),
            json!({ "exp": NOW + 3600 }),
            json!({ "exp": null }),
            json!({ "iat": NOW + 120 }),
            json!({ "iat": NOW - 3600 }),
            json!({ "nbf": NOW + 120 }),
            json!({ "jti": "" }),
            json!({ "jti": null }),
            json!({ "jti": "x".repeat(256) }),
        ] {
            assert!(!is_good(changes.clone()), "{changes}");
        }
        let token = pair.token("JWT", &claims(&json!({}))).unwrap();
        assert_eq!(named(&token).as_deref(), Some("app"));
        let others = set(&Pair::make(Algorithm::ES256).unwrap());
        assert_eq!(check(&token, &others, "app", &HERE, now), None, "signed by somebody else");
        assert_eq!(named("nonsense"), None);
    }
}
