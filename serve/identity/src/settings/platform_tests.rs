//! What `bastide` writes for the issuer, the issuer understands: the file as it is rendered for a platform with every kind
//! of client and login provider, read by the issuer itself.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;

use super::*;

const RENDERED: &str =
    include_str!("../../../../operate/components/tests/rendered/issuer/identity_etc_bastide_identity.toml");
/// Where systemd hands files to the process.
const HANDED: &str = "/run/credentials/identity.service";
const KEY_SET: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

#[test]
fn what_the_platform_writes_is_understood() {
    let rsa = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let rsa: Pkcs8V1Der<'_> = rsa.as_der().unwrap();
    let der = PrivateKeyDer::Pkcs8(rsa.as_ref().to_vec().into());
    let pair = rcgen::KeyPair::from_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
    let rsa = STANDARD.encode(rsa.as_ref());
    let directory = tempfile::tempdir().unwrap();
    let text = RENDERED.replace(HANDED, directory.path().to_str().unwrap());
    let names = RENDERED.split('"').filter_map(|word| word.strip_prefix(HANDED));
    for name in names.map(|name| name.trim_start_matches('/')) {
        let content = match name {
            "provider-microsoft.pem" => certificate.pem(),
            "provider-microsoft.key" => {
                format!("-----BEGIN PRIVATE KEY-----\n{rsa}\n-----END PRIVATE KEY-----\n")
            }
            "provider-apple.key" => rcgen::KeyPair::generate().unwrap().serialize_pem(),
            "client-wiki.keys" => KEY_SET.to_owned(),
            // As long as those that the platform makes.
            _ => format!("{}\n", "s".repeat(32)),
        };
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    let settings = Settings::parse(&text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let clients: Vec<_> = settings.clients.iter().map(|client| client.id.as_str()).collect();
    assert_eq!(clients, ["app", "wiki", "forum"]);
    let app = settings.client("app").unwrap();
    assert!(app.requires_pkce && app.may_exchange && app.back_channel_logout_uri.is_some());
    assert!(!settings.client("forum").unwrap().requires_pkce);
    let providers: Vec<_> = settings.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(providers, ["google", "github", "microsoft", "apple", "work"]);
    let expires = |nth: usize| settings.providers[nth].expires.map(|day| day.to_string());
    assert_eq!((expires(3).as_deref(), expires(4).as_deref()), (Some("2027-05-01"), Some("2027-06-01")));
    let hosts = vec!["tokens.work.example".to_owned()];
    assert_eq!(settings.providers[4].kind, Kind::OpenIdConnect { hosts, vouches: true });
}
