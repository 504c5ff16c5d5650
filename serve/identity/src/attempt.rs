//! A sign-in that has begun and nobody has proven anything in yet: sealed into a cookie of the browser that began it, for
//! ten minutes. So strangers leave nothing in the database, and it outlives every restart.

use std::time::Duration;

use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::auth::cookie;
use foundation::clock::{Clock, Randomness};
use foundation::seal::{KeyRing, Sealed};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::request::AuthorizationRequest;
use crate::secret;

/// Somebody who has not come back from a login provider after this long begins anew.
pub const KEPT: Duration = Duration::from_secs(600);
/// The prefix makes browsers refuse it from anybody but this host, over TLS.
const COOKIE: &str = "__Host-attempt-";
/// Characters of the state that name its cookie: windows that sign in at once do not disturb each other.
const NAMED_BY: usize = 8;
/// Browsers keep no longer cookie.
const LONGEST: usize = 3_800;
/// What waits beside an attempt for its person's answer.
pub const WAITING: &str = "__Host-arrival-";
/// As many of each kind a browser keeps at once: with more of them, its requests would be refused for their length.
const MOST: [(&str, usize); 2] = [(COOKIE, 5), (WAITING, 2)];

/// What somebody signs in for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A client has asked who it is.
    Authorize(Box<AuthorizationRequest>),
    /// To see the own account.
    Account,
    /// To prove once more who it is: to somebody who is there now, and not to a browser that is signed in somewhere.
    Again,
    /// To add another identity to this account, from a session of it.
    Link {
        /// Whose.
        account: Uuid,
        /// The session from which it was asked for.
        session: Uuid,
    },
}

/// A sign-in that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What the login provider gives back, so that its answer belongs to this browser. It also names the attempt.
    pub state: String,
    /// Must be in the login provider's ID token.
    pub nonce: String,
    /// Redeems the login provider's code (RFC 7636).
    pub verifier: String,
    /// To which login provider the person was sent; none while the person chooses.
    pub provider: Option<String>,
    /// What for.
    pub purpose: Purpose,
    /// When it began.
    #[serde(with = "time::serde::timestamp")]
    pub began_at: OffsetDateTime,
}

impl Attempt {
    /// Begins one.
    #[must_use]
    pub fn begin(purpose: Purpose, clock: &dyn Clock, randomness: &dyn Randomness) -> Self {
        let fresh = || secret::new(randomness);
        let (state, nonce, verifier) = (fresh(), fresh(), fresh());
        Self { state, nonce, verifier, provider: None, purpose, began_at: clock.now() }
    }

    /// The attempt of this state that this browser has begun; none if it has begun none, or too long ago.
    #[must_use]
    pub fn of(headers: &HeaderMap, state: &str, keys: &KeyRing, now: OffsetDateTime) -> Option<Self> {
        let name = cookie_name(secret::is_one(state).then_some(state)?);
        let mut values = cookie::values(headers, &name);
        let value = values.next().filter(|_| values.next().is_none())?;
        let (key_id, sealed) = value.split_once('.')?;
        let sealed = Sealed { key_id: key_id.to_owned(), bytes: URL_SAFE_NO_PAD.decode(sealed).ok()? };
        let opened = keys.open(&sealed, owner(state).as_bytes()).ok()?;
        let attempt: Self = serde_json::from_slice(&opened).ok()?;
        (attempt.state == state && now - attempt.began_at < KEPT).then_some(attempt)
    }

    /// The header `Set-Cookie` that keeps it in its browser; none where the request is too long to be kept.
    #[must_use]
    pub fn set_cookie(&self, keys: &KeyRing, randomness: &dyn Randomness) -> Option<HeaderValue> {
        let text = serde_json::to_vec(self).ok()?;
        let sealed = keys.seal(&text, owner(&self.state).as_bytes(), randomness).ok()?;
        let (name, value) = (cookie_name(&self.state), URL_SAFE_NO_PAD.encode(&sealed.bytes));
        let seconds = KEPT.as_secs();
        let text = format!(
            "{name}={}.{value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}",
            sealed.key_id
        );
        (text.len() <= LONGEST).then(|| HeaderValue::try_from(text).ok())?
    }

    /// The header `Set-Cookie` that ends it.
    #[must_use]
    pub fn clear_cookie(&self) -> HeaderValue {
        let name = cookie_name(&self.state);
        HeaderValue::try_from(format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"))
            .expect("base 64 is allowed in a header")
    }
}

/// Where an answer begins another attempt in a browser that has many, ends the oldest of them; `sent` are the request's
/// headers `Cookie`.
pub fn crowd_out(sent: &[HeaderValue], answer: &mut HeaderMap) {
    for (kind, most) in MOST {
        let name = |pair: &str| pair.trim().split_once('=').map(|(name, _)| name.to_owned());
        let of_kind = |name: &String| name.starts_with(kind);
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
        let (mut set, mut begins) = (Vec::new(), false);
        for cookie in answer.get_all(SET_COOKIE).iter().map(text) {
            if let Some(name) = name(&cookie).filter(of_kind) {
                begins |= !cookie.contains("Max-Age=0");
                set.push(name);
            }
        }
        if !begins {
            continue;
        }
        // Browsers send first what they had first (RFC 6265, section 5.4).
        let mut kept: Vec<String> = Vec::new();
        for line in sent {
            let names = text(line);
            kept.extend(names.split(';').filter_map(name).filter(of_kind).filter(|name| !set.contains(name)));
        }
        for name in kept.iter().take((kept.len() + 1).saturating_sub(most)) {
            let ended = format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
            if let Ok(ended) = HeaderValue::try_from(ended) {
                answer.append(SET_COOKIE, ended);
            }
        }
    }
}

fn cookie_name(state: &str) -> String {
    format!("{COOKIE}{}", &state[..NAMED_BY])
}

/// What it is sealed for: an attempt is none under another state.
fn owner(state: &str) -> String {
    format!("attempt:{state}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::COOKIE as HEADER;
    use foundation::clock::SystemRandomness;
    use foundation::clock::testing::FixedClock;

    fn keys() -> KeyRing {
        KeyRing::parse(&format!("1:{}=\n", "A".repeat(43))).unwrap()
    }

    fn clock() -> FixedClock {
        FixedClock::at(OffsetDateTime::UNIX_EPOCH)
    }

    fn sent(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(HEADER, HeaderValue::from_str(cookies).unwrap())])
    }

    fn pair(attempt: &Attempt) -> String {
        let cookie = attempt.set_cookie(&keys(), &SystemRandomness).unwrap();
        let text = cookie.to_str().unwrap();
        for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600"] {
            assert!(text.contains(part), "{part}");
        }
        text.split(';').next().unwrap().to_owned()
    }

    #[test]
    fn a_browser_keeps_the_latest_attempts() {
        let names: Vec<String> = (1..=7).map(|number| format!("{COOKIE}{number}")).collect();
        let pairs: Vec<String> = names.iter().map(|name| format!("{name}=x")).collect();
        let cookies = format!("a=b; {}; {WAITING}1=x", pairs.join("; "));
        let cookies = [HeaderValue::try_from(cookies).unwrap()];
        let ended = |set: &str| {
            let mut answer = HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_str(set).unwrap())]);
            crowd_out(&cookies, &mut answer);
            let all = answer.get_all(SET_COOKIE).iter().skip(1);
            all.map(|value| value.to_str().unwrap().split('=').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ended(&format!("{COOKIE}8=y; Path=/")), names[..3]);
        assert_eq!(ended(&format!("{COOKIE}7=y; Path=/")), names[..2]);
        assert!(ended(&format!("{COOKIE}1=; Path=/; Max-Age=0")).is_empty());
        assert!(ended("__Host-session=y").is_empty() && ended(&format!("{WAITING}2=y")).is_empty());
    }

    #[test]
    fn an_attempt_is_found_by_its_state_in_its_browser_in_time() {
        let attempt = Attempt::begin(Purpose::Account, &clock(), &SystemRandomness);
        let other = Attempt::begin(Purpose::Account, &clock(), &SystemRandomness);
        let (pair, others) = (pair(&attempt), pair(&other));
        let now = clock().now();
        let found = |cookies: &str, state: &str, now| Attempt::of(&sent(cookies), state, &keys(), now);
        assert_eq!(found(&format!("{others}; {pair}"), &attempt.state, now), Some(attempt.clone()));
        assert_eq!(found(&format!("{pair}; {pair}"), &attempt.state, now), None);
        assert_eq!(found(&others, &attempt.state, now), None);
        assert_eq!(found(&pair, &attempt.state, now + KEPT), None);
        assert_eq!(found(&pair, "", now), None);
        // One attempt's content under another's name.
        let forged = format!("{}={}", cookie_name(&attempt.state), others.split_once('=').unwrap().1);
        assert_eq!(found(&forged, &attempt.state, now), None);
    }
}
