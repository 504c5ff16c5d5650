//! What an invitation's link carries: 256 random bits, of which only the SHA-256 is kept.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::clock::Randomness;
use ring::digest::{SHA256, digest};
use url::Url;

/// What every secret starts with, as tokens do: scanners of leaks and our own log know it by that.
const PREFIX: &str = "bstinv_";

/// A secret. Printing it prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Secret {
    /// A new one.
    pub fn new(randomness: &dyn Randomness) -> Self {
        let mut bits = [0; 32];
        randomness.fill(&mut bits);
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits)))
    }

    /// What somebody shows as one. Whatever it is, it has a hash, and that is known or not.
    pub fn shown(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one who gets it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> Vec<u8> {
        digest(&SHA256, self.0.as_bytes()).as_ref().to_vec()
    }

    /// The link that carries it.
    pub fn link(&self, site: &Url) -> Url {
        let mut link = site.clone();
        link.set_query(None);
        link.set_fragment(None);
        link.set_path(&format!("/invitations/{}", self.0));
        link
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foundation::clock::SystemRandomness;

    #[test]
    fn each_is_new_and_fits_into_a_link() {
        let (one, other) = (Secret::new(&SystemRandomness), Secret::new(&SystemRandomness));
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), PREFIX.len() + 43);
        let link = one.link(&Url::parse("https://app.example.test").unwrap());
        assert_eq!(link.as_str(), format!("https://app.example.test/invitations/{}", one.reveal()));
        assert_eq!(Secret::shown(one.reveal()).hash(), one.hash());
        assert!(!format!("{one:?}").contains(&one.reveal()[10..]));
    }
}
