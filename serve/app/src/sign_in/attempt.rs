//! A sign-in that has begun: what its end is compared with, kept for ten minutes, for one use, by one browser.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::auth::cookie;
use foundation::clock::Randomness;
use foundation::valkey::{Valkey, ValkeyError};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// Somebody who has not come back from the issuer after this long begins anew.
const KEPT: Duration = Duration::from_secs(600);
/// The prefix makes browsers refuse it from anybody but this host, over TLS.
const COOKIE: &str = "__Host-sign-in";
/// Characters of 32 bytes in base 64.
const LENGTH: usize = 43;

/// A browser that signs in: a secret in its cookie, the same for all its windows.
#[derive(Debug, Clone)]
pub struct Browser(String);

impl Browser {
    /// The browser that has sent the headers; none if it has no cookie of this form, or several.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = cookie::values(headers, COOKIE);
        let value = values.next().filter(|value| is_secret(value))?;
        values.next().is_none().then(|| Self(value.to_owned()))
    }

    /// A browser that has none yet.
    pub fn new(randomness: &dyn Randomness) -> Self {
        Self(secret(randomness))
    }

    /// The header `Set-Cookie` by which it is known when it comes back.
    pub fn set_cookie(&self) -> HeaderValue {
        let text = format!(
            "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={}",
            self.0,
            KEPT.as_secs()
        );
        HeaderValue::try_from(text).expect("base 64 is allowed in a header")
    }

    fn hash(&self) -> String {
        hash(&self.0)
    }
}

/// A sign-in that has begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    /// Must be in the ID token.
    pub nonce: String,
    /// Redeems the code.
    pub verifier: String,
    /// Where the person wants to be afterwards.
    pub return_to: String,
    /// The hash of the browser's secret.
    browser: String,
}

impl Attempt {
    /// What the issuer is told of [`Attempt::verifier`].
    pub fn challenge(&self) -> String {
        hash(&self.verifier)
    }

    /// Whether this is the browser that has begun it.
    pub fn is_by(&self, browser: Option<&Browser>) -> bool {
        browser.is_some_and(|browser| browser.hash() == self.browser)
    }
}

/// The sign-ins that have begun, in the durable Valkey.
#[derive(Debug)]
pub struct Attempts {
    valkey: Arc<Valkey>,
    randomness: Arc<dyn Randomness>,
}

impl Attempts {
    /// Those in the durable instance.
    pub fn new(valkey: Arc<Valkey>, randomness: Arc<dyn Randomness>) -> Self {
        Self { valkey, randomness }
    }

    /// Begins one; with the state it is found again.
    pub async fn begin(
        &self,
        browser: &Browser,
        return_to: String,
    ) -> Result<(String, Attempt), ValkeyError> {
        let fresh = || secret(&*self.randomness);
        let attempt = Attempt { nonce: fresh(), verifier: fresh(), return_to, browser: browser.hash() };
        let state = fresh();
        let text = serde_json::to_string(&attempt).expect("an attempt is plain JSON");
        let mut keep = redis::cmd("SET");
        keep.arg(key(&state)).arg(text).arg("EX").arg(KEPT.as_secs());
        self.valkey.ask::<()>(&keep).await?;
        Ok((state, attempt))
    }

    /// The attempt of this state, which nobody finds a second time.
    pub async fn take(&self, state: &str) -> Result<Option<Attempt>, ValkeyError> {
        if !is_secret(state) {
            return Ok(None);
        }
        let text: Option<String> = self.valkey.ask(redis::cmd("GETDEL").arg(key(state))).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }
}

fn key(state: &str) -> String {
    format!("app:sign-in:{}", hash(state))
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

fn secret(randomness: &dyn Randomness) -> String {
    let mut bytes = [0; 32];
    randomness.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn is_secret(text: &str) -> bool {
    text.len() == LENGTH
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::COOKIE as HEADER;
    use foundation::clock::SystemRandomness;

    fn sent(cookies: &str) -> Option<Browser> {
        Browser::of(&HeaderMap::from_iter([(HEADER, HeaderValue::from_str(cookies).unwrap())]))
    }

    #[test]
    fn a_browser_is_known_by_the_cookie_that_it_was_given() {
        let browser = Browser::new(&SystemRandomness);
        let cookie = browser.set_cookie();
        let cookie = cookie.to_str().unwrap();
        for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600"] {
            assert!(cookie.contains(part), "{part}");
        }
        let pair = cookie.split(';').next().unwrap();
        assert_eq!(sent(&format!("a=b; {pair}; c=d")).unwrap().hash(), browser.hash());
        assert!(sent(&format!("{pair}; {pair}")).is_none());
        for other in ["", "__Host-sign-in=short", "sign-in=AAAA"] {
            assert!(sent(other).is_none(), "{other}");
        }
    }

    #[test]
    fn an_attempt_belongs_to_one_browser() {
        let (one, other) = (Browser::new(&SystemRandomness), Browser::new(&SystemRandomness));
        let fresh = || secret(&SystemRandomness);
        let attempt =
            Attempt { nonce: fresh(), verifier: fresh(), return_to: "/".to_owned(), browser: one.hash() };
        assert!(attempt.is_by(Some(&one)));
        assert!(!attempt.is_by(Some(&other)));
        assert!(!attempt.is_by(None));
    }

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        let (nonce, return_to, browser) = Default::default();
        let attempt = Attempt { nonce, verifier, return_to, browser };
        assert_eq!(attempt.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
