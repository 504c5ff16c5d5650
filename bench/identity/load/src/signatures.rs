//! What the signatures of a flow cost by themselves: one is made, and the login provider's is checked.

use std::time::Instant;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use serde_json::{Value, json};

const TIMES: u32 = 2_000;
/// As long as the two first parts of an ID token.
const MESSAGE: [u8; 600] = [b'e'; 600];

/// Why they could not be measured.
#[derive(Debug, thiserror::Error)]
#[error("a key or a signature could not be made")]
pub struct SignatureError;

impl From<Unspecified> for SignatureError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// Microseconds of each, with the library that the issuer has.
pub fn measured() -> Result<Value, SignatureError> {
    let random = SystemRandom::new();
    let own = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let begun = Instant::now();
    for _ in 0..TIMES {
        own.sign(&random, &MESSAGE)?;
    }
    let signing = begun.elapsed();
    let theirs = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let mut signature = vec![0; theirs.public_modulus_len()];
    theirs.sign(&RSA_PKCS1_SHA256, &random, &MESSAGE, &mut signature)?;
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, theirs.public_key().as_ref());
    let begun = Instant::now();
    for _ in 0..TIMES {
        public.verify(&MESSAGE, &signature)?;
    }
    let checking = begun.elapsed();
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / f64::from(TIMES);
    Ok(json!({ "es256_signed": each(signing), "rs256_checked": each(checking) }))
}
