//! What the issuer signs to prove to a login provider who it is (RFC 7523).

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::RSA_PSS_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::error::UpstreamError;
use crate::settings::{Certified, SigningKey};

/// What an assertion is.
pub const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Microsoft wants assertions that last five to ten minutes.
const ASSERTION_LASTS: Duration = Duration::from_secs(300);
/// A client secret of Apple's lasts this long; more than 15,777,000 s it may not.
const SECRET_LASTS: Duration = Duration::from_secs(90 * 24 * 3600);
/// A new one is made when the old one has less left than this.
pub const SECRET_RENEWED: Duration = Duration::from_secs(60 * 24 * 3600);

/// An assertion for Microsoft's `token_endpoint`, named by `id`.
pub fn for_microsoft(
    certified: &Certified,
    client_id: &str,
    token_endpoint: &str,
    (now, id): (OffsetDateTime, &str),
) -> Result<String, UpstreamError> {
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": certified.thumbprint});
    let claims = json!({
        "aud": token_endpoint, "iss": client_id, "sub": client_id, "jti": id, "nbf": now.unix_timestamp(),
        "iat": now.unix_timestamp(), "exp": (now + ASSERTION_LASTS).unix_timestamp()
    });
    let message = message(&header, &claims);
    let mut signature = vec![0; certified.key.public_modulus_len()];
    certified
        .key
        .sign(&RSA_PSS_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
        .map_err(|_| UpstreamError::Signature)?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// A client secret for Apple, which calls itself `issuer`; and when it ends.
pub fn for_apple(
    signing: &SigningKey,
    client_id: &str,
    issuer: &str,
    now: OffsetDateTime,
) -> Result<(String, OffsetDateTime), UpstreamError> {
    let ends = now + SECRET_LASTS;
    let header = json!({"alg": "ES256", "kid": signing.key_id});
    let claims = json!({
        "iss": signing.team_id, "sub": client_id, "aud": issuer, "iat": now.unix_timestamp(),
        "exp": ends.unix_timestamp()
    });
    let message = message(&header, &claims);
    let signature = signing.key.sign(&SystemRandom::new(), message.as_bytes());
    let signature = signature.map_err(|_| UpstreamError::Signature)?;
    Ok((format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)), ends))
}

fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}
