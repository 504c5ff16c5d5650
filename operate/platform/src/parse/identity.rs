//! The issuer, its login providers and its clients.

use super::names;
use super::section::{Entry, Section};
use super::url::{self, Form, User};
use super::values::{NAME_HELP, Value};
use crate::app::ServiceUrl;
use crate::host::HostName;
use crate::identity::{
    Algorithm, AuthentikSettings, Broker, Client, Credential, IdentitySettings, Linking, LoginProvider,
    OidcProvider, Pkce, Provider, TokenKeeper,
};
use std::path::PathBuf;

/// Scopes that the issuer knows.
/// Names that the issuer uses itself.
const RESERVED: [&str; 3] = ["recovery", "continue", "new"];
const SCOPES: [&str; 4] = ["openid", "email", "profile", "offline_access"];

const PROVIDER: Form =
    Form { schemes: &[("https", 443)], user: User::Never, site: true, example: "https://login.example" };

/// Keys that say as what the issuer is registered with a login provider.
const REGISTRATION: [&str; 8] = [
    "at",
    "client_id",
    "client_secret_file",
    "client_secret_expires",
    "certificate_file",
    "key_file",
    "key_id",
    "team_id",
];

/// `[identity]`; a lab has login providers of its own, so there a provider's table may leave out how it knows the issuer.
pub(super) fn read(section: Section<'_>, in_lab: bool) -> IdentitySettings {
    let providers = section.section("providers");
    let known = Provider::ALL.map(|provider| (provider.as_str(), providers.entry(provider.as_str())));
    let mut found: Vec<(usize, LoginProvider)> = known
        .into_iter()
        .zip(Provider::ALL)
        .filter_map(|((_, entry), provider)| {
            let entry = entry?;
            Some((entry.key_span.start, login_provider(&entry, provider, in_lab)?))
        })
        .collect();
    found.sort_by_key(|(at, _)| *at);
    providers.finish();
    let settings = IdentitySettings {
        broker: section.or("broker", Broker::Bastide),
        binary: section.get("binary"),
        domain: domain(&section),
        linking: section.or("linking", Linking::Vouched),
        upstream_tokens: section.or("upstream_tokens", TokenKeeper::Issuer),
        providers: found.into_iter().map(|(_, provider)| provider).collect(),
        oidc: section.section("oidc").entries().iter().filter_map(oidc_provider).collect(),
        clients: section.section("clients").entries().iter().filter_map(client).collect(),
        authentik: authentik(section.section("authentik")),
    };
    section.finish();
    settings
}

fn domain(section: &Section<'_>) -> Option<String> {
    let (domain, span) = section.located::<String>("domain")?;
    if let Some(help) = names::wrong_domain(&domain) {
        section.sheet.report(&span, format!("\"{domain}\" cannot be the issuer's name"), help.to_owned());
    }
    Some(domain)
}

fn login_provider(entry: &Entry<'_>, provider: Provider, in_lab: bool) -> Option<LoginProvider> {
    let section = entry.section(format!("identity.providers.{}", provider.as_str()))?;
    let default = provider.scopes().iter().map(|scope| (*scope).to_owned()).collect();
    let scopes = section.or("scopes", default);
    let (client_id, credential) = if in_lab && !REGISTRATION.iter().any(|key| section.entry(key).is_some()) {
        (Some(String::new()), Some(Credential::Lab))
    } else {
        (section.require("client_id", "client_id = \"…\""), credential(&section, provider))
    };
    // Only who has such a setting knows its key, so that elsewhere it is an unknown one.
    let hosted_domain = (provider == Provider::Google).then(|| section.get("hosted_domain")).flatten();
    let tenant = (provider == Provider::Microsoft).then(|| section.get("tenant")).flatten();
    let at = section.entry("at").and_then(|entry| url::service(&entry, &PROVIDER));
    section.finish();
    let (client_id, credential) = (client_id?, credential?);
    Some(LoginProvider { provider, client_id, credential, scopes, hosted_domain, tenant, at })
}

fn credential(section: &Section<'_>, provider: Provider) -> Option<Credential> {
    match provider {
        Provider::Google | Provider::Github => secret(section),
        Provider::Microsoft => certificate_or_secret(section),
        Provider::Apple => signing_key(section),
    }
}

fn secret(section: &Section<'_>) -> Option<Credential> {
    let file = section.require("client_secret_file", "client_secret_file = \"secrets/…\"");
    Some(Credential::Secret { file: file?, expires: None })
}

fn certificate_or_secret(section: &Section<'_>) -> Option<Credential> {
    let secret = section.get::<PathBuf>("client_secret_file");
    let expires = section.get("client_secret_expires");
    let certificate = section.get::<PathBuf>("certificate_file");
    let key = section.get::<PathBuf>("key_file");
    match (secret, certificate, key) {
        (None, Some(certificate), Some(key)) => Some(Credential::Certificate { certificate, key }),
        (Some(file), None, None) => Some(Credential::Secret { file, expires }),
        (None, None, None) => {
            section.missing("certificate_file", "certificate_file and key_file, or client_secret_file");
            None
        }
        _ => {
            let help =
                "expected `certificate_file` with `key_file`, or `client_secret_file`, not both".to_owned();
            let message = format!("{} mixes two ways to prove who asks", section.title());
            section.sheet.report(&section.span, message, help);
            None
        }
    }
}

fn signing_key(section: &Section<'_>) -> Option<Credential> {
    let file = section.require("key_file", "key_file = \"secrets/apple.p8\"");
    let key_id = section.require("key_id", "key_id = \"ABC123DEFG\"");
    let team_id = section.require("team_id", "team_id = \"DEF123GHIJ\"");
    let expires = section.get("key_expires");
    Some(Credential::SigningKey { file: file?, key_id: key_id?, team_id: team_id?, expires })
}

/// The key of a table as a name; anything else is a mistake.
fn name_of(entry: &Entry<'_>, what: &str) -> Option<String> {
    if HostName::parse(&entry.key).is_none() {
        let message = format!("\"{}\" cannot be the name of {what}", entry.key);
        entry.sheet.report(&entry.key_span, message, NAME_HELP.to_owned());
        return None;
    }
    Some(entry.key.clone())
}

fn oidc_provider(entry: &Entry<'_>) -> Option<OidcProvider> {
    let name = name_of(entry, "a login provider");
    if let Some(taken) = name.as_deref().filter(|name| Provider::ALL.iter().any(|own| own.as_str() == *name))
    {
        let help = format!("write [identity.providers.{taken}], which knows what is particular about it");
        entry.sheet.report(&entry.key_span, format!("{taken} has a table of its own"), help);
    }
    if name.as_deref().is_some_and(|name| RESERVED.contains(&name)) {
        let message = format!("{} means something else to the issuer", entry.key);
        entry.sheet.report(&entry.key_span, message, NAME_HELP.to_owned());
    }
    let section = entry.section(format!("identity.oidc.{}", entry.key))?;
    let default = ["openid", "email", "profile"].map(str::to_owned).to_vec();
    let issuer = required_url(&section, "issuer");
    let client_id = section.require("client_id", "client_id = \"…\"");
    let secret = section.require("client_secret_file", "client_secret_file = \"secrets/…\"");
    let hosts = section.entry("hosts").and_then(|entry| entry.items());
    let hosts = hosts.map(|items| items.iter().filter_map(host).collect::<Vec<String>>());
    let (label, scopes, vouches) =
        (section.get("label"), section.or("scopes", default), section.or("vouches", false));
    let client_secret_expires = section.get("client_secret_expires");
    section.finish();
    let name = name?;
    Some(OidcProvider {
        label: label.unwrap_or_else(|| name.clone()),
        name,
        issuer: issuer?,
        client_id: client_id?,
        hosts: hosts.unwrap_or_default(),
        client_secret_file: secret?,
        client_secret_expires,
        scopes,
        vouches,
    })
}

/// The name of a host of somebody else's.
fn host(entry: &Entry<'_>) -> Option<String> {
    let text = String::read(entry)?;
    if let Some(help) = names::wrong_domain(&text) {
        entry.reject(format!("\"{text}\" cannot be the name of a host"), help.to_owned());
        return None;
    }
    Some(text)
}

fn required_url(section: &Section<'_>, key: &'static str) -> Option<ServiceUrl> {
    let entry = section.entry(key);
    if entry.is_none() {
        section.missing(key, &format!("{key} = \"{}\"", PROVIDER.example));
    }
    url::service(&entry?, &PROVIDER)
}

fn client(entry: &Entry<'_>) -> Option<Client> {
    let id = name_of(entry, "a client");
    let section = entry.section(format!("identity.clients.{}", entry.key))?;
    let redirect_uris: Option<Vec<String>> =
        section.require("redirect_uris", "redirect_uris = [\"https://shop.example/callback\"]");
    let scopes = section
        .entry("scopes")
        .and_then(|entry| entry.items())
        .map(|items| items.iter().filter_map(scope).collect::<Vec<String>>());
    let client = Client {
        name: section.get("name").unwrap_or_else(|| entry.key.clone()),
        id: entry.key.clone(),
        redirect_uris: redirect_uris.unwrap_or_default(),
        post_logout_redirect_uris: section.or("post_logout_redirect_uris", Vec::new()),
        back_channel_logout_uri: section.get("back_channel_logout_uri"),
        keys_file: section.get("keys_file"),
        pkce: section.or("pkce", Pkce::Required),
        algorithm: section.or("algorithm", Algorithm::Es256),
        scopes: scopes.unwrap_or_else(|| SCOPES[..3].iter().map(|scope| (*scope).to_owned()).collect()),
        upstream_tokens: section.or("upstream_tokens", false),
    };
    section.finish();
    id.map(|_| client)
}

fn scope(entry: &Entry<'_>) -> Option<String> {
    let text = String::read(entry)?;
    if !SCOPES.contains(&text.as_str()) {
        entry.reject(
            format!("there is no scope \"{text}\""),
            format!("expected some of {}", SCOPES.join(", ")),
        );
        return None;
    }
    Some(text)
}

fn authentik(section: Section<'_>) -> AuthentikSettings {
    let settings = AuthentikSettings { image: section.get("image") };
    section.finish();
    settings
}
