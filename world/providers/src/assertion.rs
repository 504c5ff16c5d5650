//! What clients sign to prove who they are: Apple's client secret (ES256), and Microsoft's assertion with the thumbprint of a
//! certificate (PS256).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::Value;

/// A client secret of Apple ends within this many seconds.
const APPLE_LONGEST: i64 = 15_777_000;
/// An assertion for Microsoft lasts at most this many seconds.
const MICROSOFT_LONGEST: i64 = 600;
/// Clocks may be this many seconds apart.
const SKEW: i64 = 60;

/// What is expected of an assertion.
pub(crate) struct Expected<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) audience: &'a str,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

/// Apple's client secret. What is wrong with it, in the error.
pub(crate) fn check_apple(
    secret: &str,
    (pem, key_id, team_id): (&str, &str, &str),
    expected: &Expected<'_>,
) -> Result<(), &'static str> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| "the registered key is none")?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der())
        .map_err(|_| "the registered key is none")?;
    let (header, claims) = opened(secret, &ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())?;
    if header["alg"] != "ES256" || header["kid"] != key_id {
        return Err("it is signed with another algorithm or key");
    }
    if claims["iss"] != team_id || claims["sub"] != expected.client_id || claims["aud"] != expected.audience {
        return Err("it is another team's, for another client or for another audience");
    }
    let (Some(issued), Some(ends)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) else {
        return Err("it does not say when it was issued or ends");
    };
    if issued > expected.now + SKEW || ends <= expected.now {
        return Err("it has ended or has not begun");
    }
    if ends - expected.now > APPLE_LONGEST {
        return Err("it lasts longer than six months");
    }
    Ok(())
}

/// Microsoft's client assertion. What is wrong with it, as the code of the error.
pub(crate) fn check_microsoft(
    assertion: &str,
    certificate: &str,
    expected: &Expected<'_>,
) -> Result<(), &'static str> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|_| "AADSTS700027")?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).map_err(|_| "AADSTS700027")?;
    let public = &parsed.tbs_certificate.subject_pki.subject_public_key.data;
    let (header, claims) =
        opened(assertion, &RSA_PSS_2048_8192_SHA256, public).map_err(|_| "AADSTS700027")?;
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate));
    if header["alg"] != "PS256" || header["x5t#S256"] != thumbprint.as_str() {
        return Err("AADSTS700027");
    }
    let validity = parsed.validity();
    if validity.not_after.timestamp() <= expected.now || validity.not_before.timestamp() > expected.now + SKEW
    {
        return Err("AADSTS7000222");
    }
    if claims["iss"] != expected.client_id || claims["sub"] != expected.client_id {
        return Err("AADSTS700021");
    }
    if claims["aud"] != expected.audience {
        return Err("AADSTS700023");
    }
    let begins = claims["nbf"].as_i64().or(claims["iat"].as_i64()).unwrap_or(expected.now);
    let ends = claims["exp"].as_i64().ok_or("AADSTS700024")?;
    let lasts = ends - begins;
    if begins > expected.now + SKEW || ends <= expected.now || lasts > MICROSOFT_LONGEST {
        return Err("AADSTS700024");
    }
    if claims["jti"].as_str().is_none_or(str::is_empty) {
        return Err("AADSTS50027");
    }
    Ok(())
}

fn opened(
    token: &str,
    algorithm: &'static dyn VerificationAlgorithm,
    public: &[u8],
) -> Result<(Value, Value), &'static str> {
    let malformed = "it is no token";
    let (message, signature) = token.rsplit_once('.').ok_or(malformed)?;
    let (header, claims) = message.split_once('.').ok_or(malformed)?;
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed);
    UnparsedPublicKey::new(algorithm, public)
        .verify(message.as_bytes(), &bytes(signature)?)
        .map_err(|_| "the registered key has not signed it")?;
    let json = |text: &str| serde_json::from_slice(&bytes(text)?).map_err(|_| malformed);
    Ok((json(header)?, json(claims)?))
}
