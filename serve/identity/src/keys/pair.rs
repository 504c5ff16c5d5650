//! A key pair: made here, sealed at rest, and read once, so that a signature costs a signature and nothing else.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::clock::Randomness;
use foundation::seal::{KeyRing, SealError, Sealed};
use serde::Serialize;
use serde_json::{Value, json};

use crate::settings::Algorithm;

/// Why a key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It could not be made.
    #[error("making a signing key failed")]
    Making,
    /// It could not be sealed, or is not what was sealed.
    #[error(transparent)]
    Sealing(#[from] SealError),
    /// What was sealed is no key.
    #[error("what was sealed is not a key")]
    Unreadable,
    /// It does not sign.
    #[error("signing failed")]
    Signing,
}

enum Private {
    Es256(EcdsaKeyPair),
    Rs256(Box<RsaKeyPair>),
}

/// A key pair.
pub struct Pair {
    private: Private,
    /// The name by which tokens have it; the empty one before it has one.
    id: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pair").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Pair {
    /// A new one.
    ///
    /// # Errors
    /// [`KeyError::Making`].
    pub fn make(algorithm: Algorithm) -> Result<Self, KeyError> {
        let private = match algorithm {
            Algorithm::ES256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Private::Es256),
            Algorithm::RS256 => {
                RsaKeyPair::generate(KeySize::Rsa2048).map(|pair| Private::Rs256(Box::new(pair)))
            }
        };
        Ok(Self { private: private.map_err(|_| KeyError::Making)?, id: String::new() })
    }

    /// Its private half, sealed for the key of this name.
    ///
    /// # Errors
    /// [`KeyError::Making`] and [`KeyError::Sealing`].
    pub fn seal(&self, id: &str, ring: &KeyRing, randomness: &dyn Randomness) -> Result<Sealed, KeyError> {
        let sealed = match &self.private {
            Private::Es256(pair) => {
                let text = pair.to_pkcs8v1().map_err(|_| KeyError::Making)?;
                ring.seal(text.as_ref(), owner(id).as_bytes(), randomness)
            }
            Private::Rs256(pair) => {
                let text: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Making)?;
                ring.seal(text.as_ref(), owner(id).as_bytes(), randomness)
            }
        };
        Ok(sealed?)
    }

    /// The pair of this name, from what was sealed.
    ///
    /// # Errors
    /// [`KeyError::Sealing`] and [`KeyError::Unreadable`].
    pub fn open(id: &str, algorithm: Algorithm, sealed: &Sealed, ring: &KeyRing) -> Result<Self, KeyError> {
        let text = ring.open(sealed, owner(id).as_bytes())?;
        let private = match algorithm {
            Algorithm::ES256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &text).map(Private::Es256)
            }
            Algorithm::RS256 => RsaKeyPair::from_pkcs8(&text).map(|pair| Private::Rs256(Box::new(pair))),
        };
        Ok(Self { private: private.map_err(|_| KeyError::Unreadable)?, id: id.to_owned() })
    }

    /// The public half, as a key set has it under this name (RFC 7517).
    #[must_use]
    pub fn published(&self, id: &str) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.private {
            Private::Es256(pair) => {
                // An uncompressed point: a byte 4, and 32 bytes for each coordinate.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({
                    "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y), "kid": id, "use": "sig", "alg": "ES256"
                })
            }
            Private::Rs256(pair) => {
                let key = pair.public_key();
                let (n, e) = (key.modulus(), key.exponent());
                let (n, e) = (
                    encode(n.big_endian_without_leading_zero()),
                    encode(e.big_endian_without_leading_zero()),
                );
                json!({ "kty": "RSA", "n": n, "e": e, "kid": id, "use": "sig", "alg": "RS256" })
            }
        }
    }

    /// A token of this kind with these claims (RFC 7515, compact).
    ///
    /// # Errors
    /// [`KeyError::Signing`].
    pub fn token(&self, kind: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        let algorithm = match self.private {
            Private::Es256(_) => Algorithm::ES256,
            Private::Rs256(_) => Algorithm::RS256,
        };
        let header = json!({ "alg": algorithm.name(), "typ": kind, "kid": self.id }).to_string();
        let claims = serde_json::to_vec(claims).map_err(|_| KeyError::Signing)?;
        let mut token = String::with_capacity(header.len() + claims.len() * 4 / 3 + 512);
        URL_SAFE_NO_PAD.encode_string(header, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let random = SystemRandom::new();
        let message = token.as_bytes();
        match &self.private {
            Private::Es256(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| KeyError::Signing)?;
                token.push('.');
                URL_SAFE_NO_PAD.encode_string(signature, &mut token);
            }
            Private::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| KeyError::Signing)?;
                token.push('.');
                URL_SAFE_NO_PAD.encode_string(signature, &mut token);
            }
        }
        Ok(token)
    }
}

/// What it is sealed for: it is no key under another name.
fn owner(id: &str) -> String {
    format!("signing-key:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use foundation::clock::SystemRandomness;
    use foundation::jwt::KeySet;

    fn ring() -> KeyRing {
        KeyRing::parse(&format!("1:{}=\n", "A".repeat(43))).unwrap()
    }

    #[test]
    fn what_a_pair_signs_others_can_verify_with_what_is_published() {
        for algorithm in [Algorithm::ES256, Algorithm::RS256] {
            let pair = Pair::make(algorithm).unwrap();
            let sealed = pair.seal("k1", &ring(), &SystemRandomness).unwrap();
            let opened = Pair::open("k1", algorithm, &sealed, &ring()).unwrap();
            assert!(Pair::open("k2", algorithm, &sealed, &ring()).is_err(), "under another name it is none");
            let set = json!({ "keys": [pair.published("k1")] });
            let set = KeySet::of(serde_json::from_value(set).unwrap());
            let token = opened.token("JWT", &json!({ "sub": "somebody" })).unwrap();
            let (header, claims) = set.verify::<Value>(&token).unwrap();
            assert_eq!((header.kid.as_deref(), header.typ.as_deref()), (Some("k1"), Some("JWT")));
            assert_eq!(claims, json!({ "sub": "somebody" }));
            let other = json!({ "keys": [Pair::make(algorithm).unwrap().published("k1")] });
            assert!(KeySet::of(serde_json::from_value(other).unwrap()).verify::<Value>(&token).is_err());
        }
    }

    #[test]
    fn nothing_private_is_published_or_shown() {
        for algorithm in [Algorithm::ES256, Algorithm::RS256] {
            let pair = Pair::make(algorithm).unwrap();
            let published = pair.published("k");
            for private in ["d", "p", "q", "dp", "dq", "qi"] {
                assert!(published.get(private).is_none(), "{private}");
            }
            assert!(format!("{pair:?}").len() < 40);
        }
    }
}
