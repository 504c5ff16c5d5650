//! The issuer and its login providers.

use super::section::{Entry, Section};
use crate::identity::{Broker, Credential, IdentitySettings, Linking, LoginProvider, Provider, TokenKeeper};
use std::path::PathBuf;

pub(super) fn read(section: Section<'_>) -> IdentitySettings {
    let providers = section.section("providers");
    let known = Provider::ALL.map(|provider| (provider.as_str(), providers.entry(provider.as_str())));
    let mut found: Vec<(usize, LoginProvider)> = known
        .into_iter()
        .zip(Provider::ALL)
        .filter_map(|((_, entry), provider)| {
            let entry = entry?;
            Some((entry.key_span.start, login_provider(&entry, provider)?))
        })
        .collect();
    found.sort_by_key(|(at, _)| *at);
    providers.finish();
    let settings = IdentitySettings {
        broker: section.or("broker", Broker::Bastide),
        linking: section.or("linking", Linking::Vouched),
        upstream_tokens: section.or("upstream_tokens", TokenKeeper::Issuer),
        providers: found.into_iter().map(|(_, provider)| provider).collect(),
    };
    section.finish();
    settings
}

fn login_provider(entry: &Entry<'_>, provider: Provider) -> Option<LoginProvider> {
    let section = entry.section(format!("identity.providers.{}", provider.as_str()))?;
    let default = provider.scopes().iter().map(|scope| (*scope).to_owned()).collect();
    let client_id = section.require("client_id", "client_id = \"…\"");
    let scopes = section.or("scopes", default);
    let credential = match provider {
        Provider::Google | Provider::Github => secret(&section),
        Provider::Microsoft => certificate_or_secret(&section),
        Provider::Apple => signing_key(&section),
    };
    section.finish();
    Some(LoginProvider { provider, client_id: client_id?, credential: credential?, scopes })
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
    Some(Credential::SigningKey { file: file?, key_id: key_id?, team_id: team_id? })
}
