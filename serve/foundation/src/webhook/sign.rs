//! Signatures: `v1`, HMAC-SHA256 over `{id}.{timestamp}.{payload}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::clock::Randomness;

const PREFIX: &str = "whsec_";
/// The standard asks for 24 to 64 bytes.
const MADE: usize = 32;
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that an endpoint verifies signatures with. Printing it prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("WebhookSecret(…)")
    }
}

/// The text is not a secret of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook's secret is whsec_ and the base64 of 24 to 64 bytes")]
pub struct BadSecret;

impl WebhookSecret {
    /// A new one.
    #[must_use]
    pub fn new(randomness: &dyn Randomness) -> Self {
        let mut bytes = vec![0; MADE];
        randomness.fill(&mut bytes);
        Self(bytes)
    }

    /// From its text.
    ///
    /// # Errors
    /// [`BadSecret`].
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(BadSecret)?;
        Self::from_bytes(STANDARD.decode(encoded).map_err(|_| BadSecret)?)
    }

    /// From its bytes.
    ///
    /// # Errors
    /// [`BadSecret`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, BadSecret> {
        if LENGTHS.contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(BadSecret) }
    }

    /// Its text, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// Its bytes, to be sealed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn sign(&self, id: &str, timestamp: i64, payload: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(payload);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

/// The header `webhook-signature`: one signature by each secret, so that the receiver can change over.
#[must_use]
pub fn signatures(secrets: &[WebhookSecret], id: &str, timestamp: i64, payload: &[u8]) -> String {
    secrets.iter().map(|secret| secret.sign(id, timestamp, payload)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::CountingRandomness;

    /// The vector of the standard's own libraries.
    #[test]
    fn signs_as_the_standard_does() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_sign_side_by_side() {
        let randomness = CountingRandomness::default();
        let secrets = [WebhookSecret::new(&randomness), WebhookSecret::new(&randomness)];
        let both = signatures(&secrets, "msg_1", 1, b"{}");
        let each = [0, 1].map(|number| signatures(&secrets[number..=number], "msg_1", 1, b"{}"));
        assert_eq!(both, format!("{} {}", each[0], each[1]));
        assert_ne!(each[0], each[1]);
    }

    #[test]
    fn a_secret_survives_its_text_and_a_bad_one_does_not() {
        let secret = WebhookSecret::new(&CountingRandomness::default());
        assert_eq!(WebhookSecret::parse(&secret.reveal()), Ok(secret));
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!!"] {
            assert_eq!(WebhookSecret::parse(bad), Err(BadSecret), "{bad}");
        }
    }
}
