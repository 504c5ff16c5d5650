//! Requests that change something by a cookie come from this site's own pages, and from no other.
//!
//! Two things must hold: the browser says where the request comes from (`Origin`, or `Sec-Fetch-Site` where it sends no
//! `Origin`), and a form carries a token that only a page of the same session can have. Bearer tokens need neither: no
//! browser sends them by itself.

use std::sync::Arc;

use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::{Url, form_urlencoded};

use super::session::SessionKey;
use crate::clock::Randomness;
use crate::problem::{Problem, codes};
use crate::signing::{ShortSecret, SigningKey};

/// The form's field that carries the token.
pub const FIELD: &str = "csrf_token";
/// The header that carries it where there is no form.
pub const HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const NONCE: usize = 16;

/// Guards one site.
#[derive(Debug, Clone)]
pub struct Csrf {
    key: SigningKey,
    origin: String,
    randomness: Arc<dyn Randomness>,
}

impl Csrf {
    /// Guards the site at `public_url`; all processes of an application share its secret.
    ///
    /// # Errors
    /// [`ShortSecret`].
    pub fn new(
        secret: &[u8],
        public_url: &Url,
        randomness: Arc<dyn Randomness>,
    ) -> Result<Self, ShortSecret> {
        let key = SigningKey::new(secret, "csrf")?;
        Ok(Self { key, origin: public_url.origin().ascii_serialization(), randomness })
    }

    /// A token for the forms of a page. Each is another, so that compression tells nobody what it is.
    #[must_use]
    pub fn token(&self, session: &SessionKey) -> String {
        let mut token = vec![0; NONCE];
        self.randomness.fill(&mut token);
        let mark = self.key.sign(&[session.as_bytes(), &token]);
        token.extend_from_slice(&mark);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Whether a page of this session made the token.
    #[must_use]
    pub fn is_token(&self, session: &SessionKey, token: &str) -> bool {
        let bytes =
            (token.len() == ((NONCE + 32) * 4).div_ceil(3)).then(|| URL_SAFE_NO_PAD.decode(token).ok());
        bytes.flatten().is_some_and(|bytes| {
            let (nonce, mark) = bytes.split_at(NONCE);
            self.key.verify(&[session.as_bytes(), nonce], mark)
        })
    }

    /// Whether the browser says that this site's own page sent the request.
    ///
    /// # Errors
    /// A problem `cross-site`.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let same = match (origins.next(), origins.next()) {
            (Some(origin), None) => origin.as_bytes() == self.origin.as_bytes(),
            (None, _) => headers.get(SEC_FETCH_SITE).is_some_and(|site| site.as_bytes() == b"same-origin"),
            _ => false,
        };
        // Where the browser sends both, they must agree.
        let says_other = headers.get_all(SEC_FETCH_SITE).iter().any(|site| site.as_bytes() != b"same-origin");
        if same && !says_other {
            Ok(())
        } else {
            Err(refused("It was sent from a page of another site, or of none."))
        }
    }

    /// Whether the request carries a token of this session: in the header, or in the form that is its `body`.
    ///
    /// # Errors
    /// A problem `cross-site`.
    pub fn check_token(&self, session: &SessionKey, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
        let good = match headers.get(HEADER) {
            Some(token) => token.to_str().is_ok_and(|token| self.is_token(session, token)),
            None => {
                is_form(headers)
                    && {
                        let mut tokens = form_urlencoded::parse(body).filter(|(name, _)| name == FIELD);
                        matches!((tokens.next(), tokens.next()), (Some((_, token)), None) if self.is_token(session, &token))
                    }
            }
        };
        if good {
            Ok(())
        } else {
            Err(refused("It lacks the token of the page's form, or has that of another session."))
        }
    }
}

fn refused(detail: &str) -> Problem {
    Problem::new(&codes::CROSS_SITE).detail(detail)
}

/// Whether the method may change something.
#[must_use]
pub fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// Whether the request must carry a token: everything but JSON, which no form of another site can send.
#[must_use]
pub fn needs_token(headers: &HeaderMap) -> bool {
    !essence(headers).is_some_and(|kind| kind == "application/json" || kind.ends_with("+json"))
}

/// Whether the body is a form in which a token can be found.
#[must_use]
pub fn is_form(headers: &HeaderMap) -> bool {
    essence(headers).is_some_and(|kind| kind == "application/x-www-form-urlencoded")
}

fn essence(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next()?.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::CountingRandomness;
    use crate::garbage::Garbage;

    fn csrf() -> Csrf {
        let url = Url::parse("https://app.example.com/somewhere").unwrap();
        Csrf::new(&[3; 32], &url, Arc::new(CountingRandomness::default())).unwrap()
    }

    fn session(byte: u8) -> SessionKey {
        SessionKey::of_cookie(&URL_SAFE_NO_PAD.encode([byte; 32])).unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_site_itself_may_change_something() {
        let ask = |pairs: &[_]| csrf().check_origin(&headers(pairs)).is_ok();
        assert!(ask(&[("origin", "https://app.example.com")]));
        assert!(ask(&[("sec-fetch-site", "same-origin")]));
        assert!(!ask(&[]));
        for origin in
            ["null", "", "http://app.example.com", "https://app.example.com:444", "https://evil.example"]
        {
            assert!(!ask(&[("origin", origin)]), "{origin}");
            assert!(!ask(&[("origin", origin), ("sec-fetch-site", "same-origin")]), "{origin}");
        }
        assert!(!ask(&[("origin", "https://app.example.com"), ("sec-fetch-site", "cross-site")]));
        assert!(!ask(&[("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn a_token_is_good_for_its_session_alone() {
        let csrf = csrf();
        let token = csrf.token(&session(1));
        assert_ne!(token, csrf.token(&session(1)));
        assert!(csrf.is_token(&session(1), &token));
        assert!(!csrf.is_token(&session(2), &token));
        let form = headers(&[("content-type", "application/x-www-form-urlencoded; charset=utf-8")]);
        assert!(csrf.check_token(&session(1), &form, format!("a=b&csrf_token={token}").as_bytes()).is_ok());
        let twice = format!("csrf_token={token}&csrf_token={token}");
        assert!(csrf.check_token(&session(1), &form, twice.as_bytes()).is_err());
        assert!(csrf.check_token(&session(1), &form, b"").is_err());
        let text = headers(&[("content-type", "text/plain")]);
        assert!(csrf.check_token(&session(1), &text, format!("csrf_token={token}").as_bytes()).is_err());
    }

    #[test]
    fn what_a_form_of_another_site_can_send_needs_a_token() {
        for kind in ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"] {
            assert!(needs_token(&headers(&[("content-type", kind)])), "{kind}");
        }
        assert!(needs_token(&HeaderMap::new()));
        assert!(!needs_token(&headers(&[("content-type", "Application/JSON; charset=utf-8")])));
        assert!(!needs_token(&headers(&[("content-type", "application/merge-patch+json")])));
    }

    #[test]
    fn garbage_is_no_token() {
        let mut garbage = Garbage::new(9);
        for _ in 0..10_000 {
            let text = garbage.text("AZaz09-_=\u{e9}", 70);
            assert!(!csrf().is_token(&session(1), &text));
        }
    }
}
