//! Keys for ES256, and tokens that are signed with them or only look so.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// A key with its name.
pub(super) struct Key {
    pub(super) id: String,
    pair: EcdsaKeyPair,
}

impl Key {
    pub(super) fn new(id: String) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random);
        Self { id, pair: pair.unwrap() }
    }

    /// The public half, as the issuer publishes it.
    pub(super) fn published(&self) -> Value {
        let point = self.public();
        let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id, "x": x, "y": y})
    }

    pub(super) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// A signed token; `header` may change the usual one.
    pub(super) fn token(&self, header: &Value, claims: &Value) -> String {
        let mut all = json!({"alg": "ES256", "kid": self.id, "typ": "JWT"});
        all.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
        let message = message(&all, claims);
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", encoded(signature.as_ref()))
    }

    /// A token that calls anything at all a secret key.
    pub(super) fn hmac_token(&self, secret: &[u8], claims: &Value) -> String {
        let message = message(&json!({"alg": "HS256", "kid": self.id, "typ": "JWT"}), claims);
        let mark = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", encoded(mark.as_ref()))
    }

    /// A token that nobody has signed.
    pub(super) fn unsigned_token(claims: &Value) -> String {
        format!("{}.", message(&json!({"alg": "none", "typ": "JWT"}), claims))
    }
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()))
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
