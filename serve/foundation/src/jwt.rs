//! Signed tokens (JWT, RFC 7519) of others, verified by `ring` with the keys that they publish: ES256, RS256 and PS256, and
//! nothing else.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, Header, Validation, decode, decode_header,
};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// More keys than an issuer has in a rotation.
const MOST_KEYS: usize = 64;
/// A longer token is none of an issuer that means well.
const LONGEST: usize = 16 * 1024;

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: verifier,
    // For making keys and thumbprints, which nothing here does.
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ec_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        compute_digest: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
};

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// It is no token, or says something in another form than it should.
    #[error("it is malformed")]
    Malformed,
    /// Its algorithm is not one of those that are accepted.
    #[error("its algorithm is not accepted")]
    Algorithm,
    /// None of the keys has signed it.
    #[error("no known key has signed it")]
    NotSigned,
}

/// Somebody's keys, as far as signatures can be verified with them.
#[derive(Debug)]
pub struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// A key set as it is published. A key of a kind that is not known is no reason to refuse the others.
#[derive(Deserialize)]
pub struct Published {
    keys: Vec<Value>,
}

impl KeySet {
    /// The keys that can be used.
    #[must_use]
    pub fn of(published: Published) -> Self {
        // The first to verify a token says how; it is always the same.
        let _installed_before = RING.install_default();
        let keys = published.keys.into_iter().take(MOST_KEYS);
        Self(keys.filter_map(|key| Key::of(&serde_json::from_value(key).ok()?)).collect())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the token says, if one of the keys has signed it. Its times and names are for the caller to compare.
    ///
    /// # Errors
    /// [`JwtError`].
    pub fn verify<T: DeserializeOwned>(&self, token: &str) -> std::result::Result<(Header, T), JwtError> {
        if token.len() > LONGEST {
            return Err(JwtError::Malformed);
        }
        let header = decode_header(token).map_err(|_| JwtError::Malformed)?;
        if !matches!(header.alg, Algorithm::ES256 | Algorithm::RS256 | Algorithm::PS256) {
            return Err(JwtError::Algorithm);
        }
        // Nothing that must be understood is.
        if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
            return Err(JwtError::Malformed);
        }
        let fitting = self.0.iter().filter(|key| {
            key.algorithms.contains(&header.alg) && (header.kid.is_none() || header.kid == key.id)
        });
        for key in fitting {
            // Times and names are compared by the caller, who knows the clock and what is expected.
            let mut validation = Validation::new(header.alg);
            validation.required_spec_claims.clear();
            (validation.validate_exp, validation.validate_aud) = (false, false);
            match decode::<T>(token, &key.key, &validation) {
                Ok(token) => return Ok((token.header, token.claims)),
                Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {}
                Err(_) => return Err(JwtError::Malformed),
            }
        }
        Err(JwtError::NotSigned)
    }
}

impl Key {
    /// The key, if it is one to verify with.
    fn of(key: &Jwk) -> Option<Self> {
        let algorithms = match &key.algorithm {
            AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => {
                vec![Algorithm::ES256]
            }
            AlgorithmParameters::RSA(_) => vec![Algorithm::RS256, Algorithm::PS256],
            _ => return None,
        };
        let common = &key.common;
        if !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        // A key that names its algorithm is for that one alone.
        let named = common.key_algorithm.map(Algorithm::try_from).transpose().ok()?;
        let algorithms =
            algorithms.into_iter().filter(|each| named.is_none_or(|named| named == *each)).collect();
        Some(Self { id: common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(key).ok()? })
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    match (algorithm, key.family()) {
        (Algorithm::ES256, AlgorithmFamily::Ec)
        | (Algorithm::RS256 | Algorithm::PS256, AlgorithmFamily::Rsa) => {
            Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
        }
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), SignatureError> {
        let outcome = match (self.algorithm, self.key.kind()) {
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (Algorithm::PS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PSS_2048_8192_SHA256, message, signature)
            }
            _ => return Err(SignatureError::new()),
        };
        outcome.map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
