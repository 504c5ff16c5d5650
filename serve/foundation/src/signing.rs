//! Marks on what the server hands out and wants back unchanged: cursors, CSRF tokens.

use std::fmt;

use ring::hmac;

/// A key from which each purpose has one of its own, so that a mark made for one is worth nothing for another.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

/// The secret is too short to be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing secret has at least 32 bytes")]
pub struct ShortSecret;

impl SigningKey {
    /// The key for `purpose` out of the application's secret.
    ///
    /// # Errors
    /// [`ShortSecret`].
    pub fn new(secret: &[u8], purpose: &str) -> Result<Self, ShortSecret> {
        if secret.len() < 32 {
            return Err(ShortSecret);
        }
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&root, purpose.as_bytes());
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())))
    }

    /// The mark of these parts. Each is signed with its length: no two lists of parts have the same mark.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mark = [0; 32];
        mark.copy_from_slice(hmac::sign(&self.0, &framed(parts)).as_ref());
        mark
    }

    /// Whether `mark` is that of these parts, in a time that does not depend on where it differs.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], mark: &[u8]) -> bool {
        hmac::verify(&self.0, &framed(parts), mark).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey(…)")
    }
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut framed = Vec::new();
    for part in parts {
        framed.extend_from_slice(&(part.len() as u64).to_be_bytes());
        framed.extend_from_slice(part);
    }
    framed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_fits_its_parts_and_purpose_alone() {
        let secret = [7; 32];
        let key = SigningKey::new(&secret, "cursor").unwrap();
        let mark = key.sign(&[b"ab", b"c"]);
        assert!(key.verify(&[b"ab", b"c"], &mark));
        assert!(!key.verify(&[b"a", b"bc"], &mark));
        assert!(!key.verify(&[b"ab", b"c"], &mark[..31]));
        assert!(!key.verify(&[b"ab", b"c"], b""));
        assert!(!SigningKey::new(&secret, "csrf").unwrap().verify(&[b"ab", b"c"], &mark));
        assert!(SigningKey::new(&secret[..31], "cursor").is_err());
    }
}
