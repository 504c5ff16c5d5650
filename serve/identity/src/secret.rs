//! Secrets that the issuer hands out: 32 random bytes, of which only the SHA-256 is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::clock::Randomness;
use ring::digest::{SHA256, digest};

/// Characters of a secret.
const LENGTH: usize = 43;

/// The SHA-256 of a secret: by it the secret is found, and with it nobody can do anything.
pub type Hash = [u8; 32];

/// A new secret.
#[must_use]
pub fn new(randomness: &dyn Randomness) -> String {
    let mut bytes = [0; 32];
    randomness.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The hash of a text.
#[must_use]
pub fn hash(text: &str) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

/// The hash of a text in base 64, as code challenges are made (RFC 7636).
#[must_use]
pub fn hash_text(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(hash(text))
}

/// Whether a text has the form of a secret.
#[must_use]
pub fn is_one(text: &str) -> bool {
    text.len() == LENGTH
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use foundation::clock::SystemRandomness;

    #[test]
    fn secrets_are_known_by_their_form() {
        assert!(is_one(&new(&SystemRandomness)));
        assert!(!is_one("") && !is_one(&"=".repeat(43)) && !is_one(&"a".repeat(44)));
    }

    #[test]
    fn a_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(hash_text(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
