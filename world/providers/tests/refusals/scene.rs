//! The four with a client each, and a browser that goes there.

use std::path::PathBuf;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::testing::program::{Answer, exchange};
use foundation::tls;
use login_providers::{Proof, Provider, Providers, Registration};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{Url, form_urlencoded};

pub const CLIENT: &str = "client";
pub const SECRET: &str = "s3cret:with +%&/= in it";
pub const BACK: &str = "https://id.example.test/callback";
/// RFC 7636, appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub type Pairs<'a> = Vec<(&'a str, &'a str)>;

pub struct Scene {
    pub providers: Providers,
    ca: PathBuf,
    _directory: TempDir,
}

impl Scene {
    /// The four on ports of their own; nobody is registered yet.
    pub async fn new() -> Self {
        let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("ca.pem"), authority.pem()).unwrap();
        std::fs::write(path("server.pem"), certificate.pem()).unwrap();
        std::fs::write(path("server.key"), key.serialize_pem()).unwrap();
        let files = foundation::environment::ServerCertificate {
            certificate: path("server.pem"),
            key: path("server.key"),
        };
        let providers = Providers::start(&tls::server(&files).unwrap(), "localhost").await.unwrap();
        Self { providers, ca: path("ca.pem"), _directory: directory }
    }

    /// With a client that has a secret, and `ada` who signs in without being asked.
    pub async fn with_secret(provider: Provider) -> Self {
        let scene = Self::new().await;
        let proof = Proof::Secret(SECRET.to_owned());
        scene.providers.register(provider, Registration::new(CLIENT, BACK, proof));
        scene.providers.awaits(provider, Some("ada"));
        scene
    }

    pub async fn get(&self, provider: Provider, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let query = encoded(pairs);
        self.send(provider, Method::GET, &format!("{path}?{query}"), &[], "").await
    }

    pub async fn post(&self, provider: Provider, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let headers = [("accept", "application/json"), ("content-type", "application/x-www-form-urlencoded")];
        self.send(provider, Method::POST, path, &headers, &encoded(pairs)).await
    }

    pub async fn send(
        &self,
        provider: Provider,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let port = self.providers.port(provider);
        exchange(port, &self.ca, "http/1.1", method, path, headers, body.to_owned()).await.unwrap()
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The pairs with some in the place of others; an empty value leaves one out.
pub fn with<'a>(pairs: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Pairs<'a> {
    let kept = pairs.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    kept.chain(changes).copied().filter(|(_, value)| !value.is_empty()).collect()
}

/// A parameter of where an answer sends the browser.
pub fn given(answer: &Answer, name: &str) -> Option<String> {
    let url: Url = answer.header("location").parse().unwrap_or_else(|_| panic!("{}", answer.text));
    url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// A field of a form that an answer shows.
pub fn field(answer: &Answer, name: &str) -> Option<String> {
    let marked = format!("name=\"{name}\" value=\"");
    let rest = answer.text.split_once(&marked)?.1;
    Some(rest.split_once('"')?.0.replace("&quot;", "\"").replace("&amp;", "&"))
}

/// What a token says; nobody has verified it.
pub fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// A token that a key on P-256 has signed.
pub fn es256(pem: &str, header: &Value, claims: &Value) -> String {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der()).unwrap();
    let message = message(header, claims);
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A key for RSA with a certificate, PEM, and the certificate's thumbprint.
pub struct Certified {
    key: RsaKeyPair,
    pub certificate: String,
    pub thumbprint: String,
}

impl Certified {
    pub fn new() -> Self {
        use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
        let key = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let der = PrivateKeyDer::Pkcs8(der.as_ref().to_vec().into());
        let pair = KeyPair::from_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
        Self { key, certificate: certificate.pem(), thumbprint: URL_SAFE_NO_PAD.encode(hash) }
    }

    pub fn token(&self, header: &Value, claims: &Value, encoding: &'static dyn RsaEncoding) -> String {
        let message = message(header, claims);
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub fn ps256(&self, changes: &Value, claims: &Value) -> String {
        let mut header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint});
        header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.token(&header, claims, &RSA_PSS_SHA256)
    }
}

pub fn now() -> i64 {
    use foundation::clock::{Clock as _, SystemClock};
    SystemClock.now().unix_timestamp()
}
