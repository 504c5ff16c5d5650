use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use super::*;

/// Public keys and what was signed with them once: `ring` makes no RSA keys.
const RSA: &str = include_str!("rsa_tokens.json");

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self(key)
    }

    fn token(&self, header: &Value) -> String {
        let message = format!("{}.{}", encoded(header), encoded(&json!({"sub": "ada"})));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The public key with more members, or others.
    fn published(&self, members: &Value) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let mut key = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
        key.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        key
    }
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::of(Published { keys: keys.to_vec() })
}

fn verify(keys: &KeySet, token: &str) -> std::result::Result<String, JwtError> {
    keys.verify::<Value>(token).map(|(_, claims)| claims["sub"].as_str().unwrap().to_owned())
}

#[test]
fn each_accepted_algorithm_is_verified() {
    let all: Value = serde_json::from_str(RSA).unwrap();
    let keys = KeySet::of(serde_json::from_value(all["keys"].clone()).unwrap());
    for name in ["RS256", "PS256"] {
        let token = all[name].as_str().unwrap();
        assert_eq!(verify(&keys, token), Ok("ada".to_owned()), "{name}");
        let forged = token.replacen('.', ".eyJzdWIiOiJldmUifQ", 1);
        assert!(verify(&keys, &forged).is_err(), "{name}");
    }
    // A key that is too small vouches for nobody.
    assert_eq!(verify(&keys, all["small"].as_str().unwrap()), Err(JwtError::NotSigned));

    let signer = Signer::new();
    let keys = set(&[signer.published(&json!({"kid": "a", "use": "sig", "alg": "ES256"}))]);
    assert_eq!(verify(&keys, &signer.token(&json!({"alg": "ES256", "kid": "a"}))), Ok("ada".to_owned()));
}

#[test]
fn no_other_algorithm_is() {
    let signer = Signer::new();
    let public = signer.published(&json!({"kid": "a"}));
    let keys = set(&[public.clone(), json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256"})]);
    let payload = encoded(&json!({"sub": "eve"}));
    let message = |algorithm: &str| format!("{}.{payload}", encoded(&json!({"alg": algorithm, "kid": "a"})));
    for name in ["none", "None", "NONE", ""] {
        assert_eq!(verify(&keys, &format!("{}.", message(name))), Err(JwtError::Malformed), "{name}");
    }
    // Signed with what is public, or with what the key set calls a secret.
    let point = signer.0.public_key().as_ref();
    let document = public.to_string();
    for secret in [point, document.as_bytes(), b"secret"] {
        let message = message("HS256");
        let mark = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mark));
        assert_eq!(verify(&keys, &token), Err(JwtError::Algorithm));
    }
    for name in ["ES384", "RS384", "PS512", "EdDSA", "HS512"] {
        assert_eq!(verify(&keys, &format!("{}.AAAA", message(name))), Err(JwtError::Algorithm), "{name}");
    }
    assert_eq!(verify(&keys, &signer.token(&json!({"alg": "RS256", "kid": "a"}))), Err(JwtError::NotSigned));
}

#[test]
fn a_token_is_verified_by_the_key_that_it_names() {
    let (one, other) = (Signer::new(), Signer::new());
    let keys = set(&[one.published(&json!({"kid": "1"})), other.published(&json!({"kid": "2"}))]);
    assert!(verify(&keys, &one.token(&json!({"alg": "ES256", "kid": "1"}))).is_ok());
    assert_eq!(verify(&keys, &one.token(&json!({"alg": "ES256", "kid": "2"}))), Err(JwtError::NotSigned));
    assert_eq!(verify(&keys, &one.token(&json!({"alg": "ES256", "kid": "3"}))), Err(JwtError::NotSigned));
    // One that names none, by any.
    assert!(verify(&keys, &other.token(&json!({"alg": "ES256"}))).is_ok());
    // A key that comes with the token is nobody's.
    let stranger = Signer::new();
    let header = json!({"alg": "ES256", "jwk": stranger.published(&json!({"kid": "1"})), "kid": "1"});
    assert_eq!(verify(&keys, &stranger.token(&header)), Err(JwtError::NotSigned));
}

#[test]
fn keys_for_other_purposes_and_of_other_kinds_are_passed_over() {
    let signer = Signer::new();
    let keys = set(&[
        json!("not a key"),
        json!({"kty": "future", "kid": "x"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
        signer.published(&json!({"kid": "encrypts", "use": "enc"})),
        signer.published(&json!({"kid": "other", "alg": "ES384"})),
        signer.published(&json!({"kid": "good"})),
    ]);
    let token = |kid: &str| signer.token(&json!({"alg": "ES256", "kid": kid}));
    assert!(verify(&keys, &token("good")).is_ok());
    assert_eq!(verify(&keys, &token("encrypts")), Err(JwtError::NotSigned));
    assert_eq!(verify(&keys, &token("other")), Err(JwtError::NotSigned));
}

#[test]
fn what_is_no_token_or_must_be_understood_is_refused() {
    let signer = Signer::new();
    let keys = set(&[signer.published(&json!({}))]);
    let good = signer.token(&json!({"alg": "ES256"}));
    let critical = signer.token(&json!({"alg": "ES256", "crit": ["exp"], "exp": 1}));
    let long = "a".repeat(LONGEST + 1);
    for bad in ["", "a", "a.b", "a.b.c", "a.b.c.d", "....", "\u{e9}.\u{e9}.\u{e9}", &critical, &long] {
        assert_eq!(verify(&keys, bad), Err(JwtError::Malformed), "{bad:.40}");
    }
    assert!(verify(&keys, &good).is_ok());
    let cut = &good[..good.len() - 1];
    assert!(verify(&keys, cut).is_err());
}
