//! How the issuer proves to a login provider who it is.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::environment::Secret;
use ring::digest::{SHA256, digest};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;

/// How the issuer proves to a login provider who it is.
#[derive(Debug, Clone)]
pub enum Credential {
    /// By a secret that the provider made.
    Secret(Secret),
    /// By assertions, signed with a certificate's key (Microsoft).
    Certificate(Arc<Certified>),
    /// By a secret that the issuer signs itself (Apple).
    SigningKey(Arc<SigningKey>),
}

/// A certificate with its key.
pub struct Certified {
    /// Signs.
    pub key: RsaKeyPair,
    /// The SHA-256 of the certificate in base 64, by which the provider knows it.
    pub thumbprint: String,
    /// When it ends.
    pub not_after: OffsetDateTime,
}

/// A key that the provider made for the issuer.
pub struct SigningKey {
    /// Signs.
    pub key: EcdsaKeyPair,
    /// What the provider calls the key.
    pub key_id: String,
    /// Whose key it is.
    pub team_id: String,
}

impl fmt::Debug for Certified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certified").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Certified {
    /// From the text of both files.
    ///
    /// # Errors
    /// What is wrong with them, in words that follow the name of the provider.
    pub fn parse(certificate: &str, key: &str) -> Result<Self, &'static str> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|_| "its certificate_file holds no certificate in PEM")?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|_| "its certificate_file holds no certificate")?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| "its key_file holds no private key in PEM")?;
        let key = match &key {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err("its key_file holds no RSA key"),
        };
        let key = key.map_err(|_| "its key_file holds no RSA key of at least 2,048 bits")?;
        if *parsed.tbs_certificate.subject_pki.subject_public_key.data != *key.public_key().as_ref() {
            return Err("its certificate_file and key_file do not belong together");
        }
        let ends = parsed.validity().not_after.timestamp();
        Ok(Self {
            key,
            thumbprint: URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate)),
            not_after: OffsetDateTime::from_unix_timestamp(ends)
                .map_err(|_| "its certificate ends at no time that there is")?,
        })
    }
}

impl SigningKey {
    /// From the text of the `.p8` file.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow the name of the provider.
    pub fn parse(key: &str, key_id: String, team_id: String) -> Result<Self, &'static str> {
        let problem = "its key_file holds no private key on P-256 in PEM (PKCS #8)";
        let Ok(PrivateKeyDer::Pkcs8(der)) = PrivateKeyDer::from_pem_slice(key.as_bytes()) else {
            return Err(problem);
        };
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der());
        Ok(Self { key: key.map_err(|_| problem)?, key_id, team_id })
    }
}
