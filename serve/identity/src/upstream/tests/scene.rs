//! The issuer's side of login providers, beside the world's.

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foundation::clock::{SystemClock, SystemRandomness};
use foundation::environment::ServerCertificate;
use foundation::http_client::{HttpClient, Limits};
use foundation::testing::program::{Answer, exchange};
use foundation::tls;
use foundation::webhook::resolve::NameServers;
use login_providers::{Proof, Provider, Providers, Registration};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use tempfile::TempDir;
use url::{Position, Url};

use super::super::error::UpstreamError;
use super::super::manner::Wish;
use super::super::returned::Returned;
use super::super::source::Source;
use super::super::{Upstreams, Verified};
use crate::attempt::{Attempt, Purpose};
use crate::settings::Settings;

pub const SITE: &str = "https://id.example.test";
pub const CLIENT: &str = "issuer";
const SECRET: &str = "s3cret:with +%&/= in it";

pub struct Scene {
    pub world: Providers,
    pub upstreams: Upstreams,
    ca: PathBuf,
    _directory: TempDir,
}

/// PEM of a key for RSA, and of a certificate of it.
fn certified() -> (String, String) {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let pem = STANDARD.encode(der.as_ref());
    let der = PrivateKeyDer::Pkcs8(der.as_ref().to_vec().into());
    let pair = KeyPair::from_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
    (format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n"), certificate.pem())
}

impl Scene {
    /// All four and a fifth one; `more` is added to the table of Google and of Microsoft each.
    pub async fn new() -> Self {
        Self::with("", "").await
    }

    pub async fn with(google: &str, microsoft: &str) -> Self {
        let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let (rsa, rsa_certificate) = certified();
        let apple = KeyPair::generate().unwrap().serialize_pem();
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("server.pem", certificate.pem()),
            ("server.key", key.serialize_pem()),
            ("secret", SECRET.to_owned()),
            ("client-secret", "c".repeat(32)),
            ("rsa.pem", rsa),
            ("rsa-certificate.pem", rsa_certificate.clone()),
            ("apple.p8", apple.clone()),
        ] {
            std::fs::write(path(name), text).unwrap();
        }
        let shown = ServerCertificate { certificate: path("server.pem"), key: path("server.key") };
        let world = Providers::start(&tls::server(&shown).unwrap(), "localhost").await.unwrap();
        let at = |provider| world.origin(provider);
        let file = |name: &str| path(name).display().to_string();
        let settings = Settings::parse(&format!(
            r#"
            [[client]]
            id = "app"
            secret_file = "{}"
            redirect_uris = ["https://www.example.test/back"]
            upstream_tokens = true
            [[provider]]
            kind = "google"
            client_id = "{CLIENT}"
            secret_file = "{secret}"
            at = "{}"
            {google}
            [[provider]]
            kind = "github"
            client_id = "{CLIENT}"
            secret_file = "{secret}"
            at = "{}"
            [[provider]]
            kind = "microsoft"
            client_id = "{CLIENT}"
            certificate_file = "{}"
            key_file = "{}"
            at = "{}"
            {microsoft}
            [[provider]]
            kind = "apple"
            client_id = "{CLIENT}"
            key_file = "{}"
            key_id = "KEY"
            team_id = "TEAM"
            at = "{}"
            [[provider]]
            kind = "oidc"
            name = "fifth"
            client_id = "fifth"
            secret_file = "{secret}"
            vouches = true
            at = "{}"
            "#,
            file("client-secret"),
            at(Provider::Google),
            at(Provider::Github),
            file("rsa-certificate.pem"),
            file("rsa.pem"),
            at(Provider::Microsoft),
            file("apple.p8"),
            at(Provider::Apple),
            at(Provider::Google),
            secret = file("secret"),
        ))
        .unwrap();
        let back = |provider: &str| format!("{SITE}/callback/{provider}");
        let registration = |provider: &str, proof| Registration::new(CLIENT, &back(provider), proof);
        let secret = || Proof::Secret(SECRET.to_owned());
        world.register(Provider::Google, registration("google", secret()));
        world.register(Provider::Google, Registration::new("fifth", &back("fifth"), secret()));
        let tokens_end = Registration { tokens_end: true, ..registration("github", secret()) };
        world.register(Provider::Github, tokens_end);
        let proof = Proof::Certificate(rsa_certificate);
        let tells_edov = Registration { tells_edov: true, ..registration("microsoft", proof) };
        world.register(Provider::Microsoft, tells_edov);
        let proof = Proof::Key { pem: apple, key_id: "KEY".to_owned(), team_id: "TEAM".to_owned() };
        world.register(Provider::Apple, registration("apple", proof));
        for provider in Provider::ALL {
            world.awaits(provider, Some("ada"));
        }
        let limits = Limits { total: std::time::Duration::from_secs(3), ..Limits::default() };
        let authority = authority.der().clone();
        let http = HttpClient::new(Arc::new(NameServers::of_system()), &[authority], limits).unwrap();
        let made_by = (Arc::new(SystemClock) as _, Arc::new(SystemRandomness) as _);
        let site = Url::parse(SITE).unwrap();
        let upstreams = Upstreams::new(&settings, &site, &http, &made_by);
        Self { world, upstreams, ca: path("ca.pem"), _directory: directory }
    }

    pub fn source(&self, name: &str) -> &Source {
        self.upstreams.named(name).unwrap()
    }

    /// Goes to where a URL leads, as a browser does.
    pub async fn visit(&self, url: &Url) -> Answer {
        let path = &url[Position::BeforePath..];
        let port = url.port().unwrap();
        exchange(port, &self.ca, "http/1.1", Method::GET, path, &[], String::new()).await.unwrap()
    }

    /// An attempt that was sent to a provider, and what came back.
    pub async fn comes_back(&self, name: &str, wish: &Wish<'_>) -> (Attempt, Returned) {
        let begun = Attempt::begin(Purpose::Account, &SystemClock, &SystemRandomness);
        let attempt = Attempt { provider: Some(name.to_owned()), ..begun };
        let url = self.source(name).invitation(&attempt, wish).await.unwrap();
        if name == "apple" {
            let returned = Returned::read(form(&self.visit(&url).await.text).as_bytes(), true);
            return (attempt, returned.unwrap());
        }
        (attempt, self.returned(name, &url).await)
    }

    /// What somebody comes back with from a provider that answers in the address.
    pub async fn returned(&self, name: &str, url: &Url) -> Returned {
        let answer = self.visit(url).await;
        let location = answer.header("location");
        let back: Url = location.parse().unwrap_or_else(|_| panic!("{}", answer.text));
        assert_eq!(back[..Position::AfterPath], self.source(name).redirect_uri);
        Returned::read(back.query().unwrap().as_bytes(), false).unwrap()
    }

    /// Who comes back from a provider.
    pub async fn identify(&self, name: &str) -> Result<Verified, UpstreamError> {
        let (attempt, returned) = self.comes_back(name, &Wish::default()).await;
        self.source(name).identify(&attempt, &returned).await
    }
}

/// The hidden fields of a page's form, encoded.
pub fn form(page: &str) -> String {
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    for part in page.split("<input type=\"hidden\" name=\"").skip(1) {
        let (name, rest) = part.split_once("\" value=\"").unwrap();
        let value = rest.split_once('"').unwrap().0;
        encoded.append_pair(name, &value.replace("&quot;", "\"").replace("&amp;", "&"));
    }
    encoded.finish()
}
