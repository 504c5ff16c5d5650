//! An identity that waits for its person's answer: sealed into a cookie of the browser that it came with, beside the attempt
//! that goes on, and for no longer. So nobody else can answer, and what is never answered leaves nothing behind.

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::auth::cookie;
use foundation::clock::Randomness;
use foundation::seal::{KeyRing, Sealed};
use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, KEPT, WAITING};
use crate::upstream::Verified;

/// Characters of the attempt's state that name it.
const NAMED_BY: usize = 8;
/// Browsers keep no longer cookie.
const LONGEST: usize = 3_800;

/// An identity that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Who came, with what the login provider says.
    pub verified: Verified,
    /// Whether the person has since come with an identity that has no account either.
    pub tried_another: bool,
}

impl Pending {
    /// The identity that waits beside this attempt in this browser.
    #[must_use]
    pub fn of(headers: &HeaderMap, attempt: &Attempt, keys: &KeyRing) -> Option<Self> {
        let name = name(attempt);
        let mut values = cookie::values(headers, &name);
        let value = values.next().filter(|_| values.next().is_none())?;
        let (key_id, sealed) = value.split_once('.')?;
        let sealed = Sealed { key_id: key_id.to_owned(), bytes: URL_SAFE_NO_PAD.decode(sealed).ok()? };
        serde_json::from_slice(&keys.open(&sealed, owner(attempt).as_bytes()).ok()?).ok()
    }

    /// The header `Set-Cookie` that keeps it beside the attempt; without the login provider's tokens where they make it too
    /// long, for those come again. None where it is too long all the same.
    #[must_use]
    pub fn set_cookie(
        &self,
        attempt: &Attempt,
        keys: &KeyRing,
        randomness: &dyn Randomness,
    ) -> Option<HeaderValue> {
        self.cookie(attempt, keys, randomness).or_else(|| {
            let mut shorter = self.clone();
            shorter.verified.tokens = None;
            shorter.cookie(attempt, keys, randomness)
        })
    }

    fn cookie(&self, attempt: &Attempt, keys: &KeyRing, randomness: &dyn Randomness) -> Option<HeaderValue> {
        let text = serde_json::to_vec(self).ok()?;
        let sealed = keys.seal(&text, owner(attempt).as_bytes(), randomness).ok()?;
        let (name, value) = (name(attempt), URL_SAFE_NO_PAD.encode(&sealed.bytes));
        let (key_id, seconds) = (sealed.key_id, KEPT.as_secs());
        let text =
            format!("{name}={key_id}.{value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
        (text.len() <= LONGEST).then(|| HeaderValue::try_from(text).ok())?
    }

    /// The header `Set-Cookie` that ends what waits beside the attempt.
    #[must_use]
    pub fn clear_cookie(attempt: &Attempt) -> HeaderValue {
        let name = name(attempt);
        HeaderValue::try_from(format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"))
            .expect("base 64 is allowed in a header")
    }
}

fn name(attempt: &Attempt) -> String {
    format!("{WAITING}{}", &attempt.state[..NAMED_BY])
}

/// What it is sealed for: it waits beside this attempt and no other.
fn owner(attempt: &Attempt) -> String {
    format!("arrival:{}", attempt.state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Purpose;
    use crate::upstream::{Address, UpstreamTokens};
    use axum::http::header::COOKIE as HEADER;
    use foundation::clock::SystemRandomness;
    use foundation::clock::testing::FixedClock;
    use time::OffsetDateTime;

    fn keys() -> KeyRing {
        KeyRing::parse(&format!("1:{}=\n", "A".repeat(43))).unwrap()
    }

    fn attempt() -> Attempt {
        let clock = FixedClock::at(OffsetDateTime::UNIX_EPOCH);
        Attempt::begin(Purpose::Account, &clock, &SystemRandomness)
    }

    fn pending(token: usize) -> Pending {
        let email = Address { text: "ada@example.test".to_owned(), is_vouched: true, is_relay: false };
        let verified = Verified {
            provider: "microsoft".to_owned(),
            subject: "tenant:object".to_owned(),
            email: Some(email),
            given_name: Some("Ada".to_owned()),
            family_name: None,
            picture: None,
            authenticated_at: None,
            tokens: Some(UpstreamTokens {
                access: "a".repeat(token),
                refresh: Some("r".to_owned()),
                scope: "openid".to_owned(),
                expires_at: Some(OffsetDateTime::UNIX_EPOCH),
            }),
        };
        Pending { verified, tried_another: false }
    }

    fn sent(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(HEADER, HeaderValue::from_str(pair).unwrap())])
    }

    #[test]
    fn it_waits_beside_its_attempt_alone() {
        let (first, second) = (attempt(), attempt());
        let cookie = pending(100).set_cookie(&first, &keys(), &SystemRandomness).unwrap();
        assert_eq!(Pending::of(&sent(&cookie), &first, &keys()), Some(pending(100)));
        assert_eq!(Pending::of(&sent(&cookie), &second, &keys()), None);
        // The content of one under the other's name.
        let (_, value) = cookie.to_str().unwrap().split_once('=').unwrap();
        let moved = HeaderValue::try_from(format!("{}={value}", name(&second))).unwrap();
        assert_eq!(Pending::of(&sent(&moved), &second, &keys()), None);
        assert!(!cookie.to_str().unwrap().contains("ada"));
    }

    #[test]
    fn tokens_that_are_too_long_for_a_cookie_are_left_out() {
        let attempt = attempt();
        let cookie = pending(4_000).set_cookie(&attempt, &keys(), &SystemRandomness).unwrap();
        assert!(cookie.len() <= LONGEST);
        let kept = Pending::of(&sent(&cookie), &attempt, &keys()).unwrap();
        assert_eq!((kept.verified.tokens, kept.verified.subject.as_str()), (None, "tenant:object"));
    }
}
