//! Keys for RS256, with which all of them sign, and tokens that are signed with them or only look so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::clock::{Randomness as _, SystemRandomness};
use serde_json::{Value, json};

/// Made once in a process, by their names: making one takes longer than whoever asks for a token would wait.
static PAIRS: Mutex<BTreeMap<String, Arc<KeyPair>>> = Mutex::new(BTreeMap::new());

/// A key with its name.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pair: Arc<KeyPair>,
    /// Whose tokens alone it signs, where a provider says that (Microsoft).
    issuer: Option<String>,
}

impl Key {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), pair: pair(id), issuer: None }
    }

    /// One that was never published, under the name of one that may have been.
    pub(crate) fn strange(id: &str) -> Self {
        Self { id: id.to_owned(), pair: pair("a stranger's"), issuer: None }
    }

    pub(crate) fn for_issuer(id: &str, issuer: String) -> Self {
        Self { issuer: Some(issuer), ..Self::new(id) }
    }

    /// Whose tokens alone it signs.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Whether it signs for more than one issuer.
    pub(crate) fn is_general(&self) -> bool {
        self.issuer.as_deref().is_none_or(|issuer| issuer.contains('{'))
    }

    /// The public half, as it is published.
    pub(crate) fn published(&self) -> Value {
        let public = self.pair.public_key();
        let n = encoded(public.modulus().big_endian_without_leading_zero());
        let e = encoded(public.exponent().big_endian_without_leading_zero());
        let mut key = json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "n": n, "e": e});
        if let Some(issuer) = &self.issuer {
            key["issuer"] = issuer.as_str().into();
        }
        key
    }

    /// A signed token.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let message = message(&json!({"alg": "RS256", "kid": self.id, "typ": "JWT"}), claims);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .expect("the signature has its room");
        format!("{message}.{}", encoded(&signature))
    }

    /// A token that calls the public key a secret.
    pub(crate) fn token_by_public_key(&self, claims: &Value) -> String {
        self.hmac_token(self.pair.public_key().as_ref(), claims)
    }

    /// A token that is signed with a secret.
    pub(crate) fn hmac_token(&self, secret: &[u8], claims: &Value) -> String {
        let message = message(&json!({"alg": "HS256", "kid": self.id, "typ": "JWT"}), claims);
        let mark = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", encoded(mark.as_ref()))
    }
}

fn pair(name: &str) -> Arc<KeyPair> {
    let mut pairs = PAIRS.lock().unwrap_or_else(PoisonError::into_inner);
    let made = || Arc::new(KeyPair::generate(KeySize::Rsa2048).expect("a key of a usual size is generated"));
    Arc::clone(pairs.entry(name.to_owned()).or_insert_with(made))
}

/// A token that nobody has signed.
pub(crate) fn unsigned_token(claims: &Value) -> String {
    format!("{}.", message(&json!({"alg": "none", "typ": "JWT"}), claims))
}

/// The hash that ties an ID token to its access token (OpenID Connect Core 1.0, section 3.1.3.6).
pub(crate) fn at_hash(access: &str) -> String {
    encoded(&digest(&SHA256, access.as_bytes()).as_ref()[..16])
}

/// The S256 challenge of a verifier (RFC 7636).
pub(crate) fn challenge(verifier: &str) -> String {
    encoded(digest(&SHA256, verifier.as_bytes()).as_ref())
}

/// What nobody can guess.
pub(crate) fn random() -> String {
    let mut bytes = [0; 24];
    SystemRandomness.fill(&mut bytes);
    encoded(&bytes)
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()))
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
