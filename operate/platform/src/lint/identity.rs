//! The issuer and its login providers.

use super::rule::{Origin, Rule, Severity, Spot, spot_if};
use crate::{Broker, Credential, Linking, LoginProvider, Platform, Provider, TokenKeeper};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "identity-shared-client",
        origin: Origin::Row(3),
        severity: Severity::Error,
        reason: "Each provider gives a client and a credential of its own, so what two of them share was copied from \
                 one to the other.",
        fix: "Put in what the provider gave when the application was registered with it.",
        find: shared_client,
    },
    Rule {
        id: "identity-scopes",
        origin: Origin::Row(3),
        severity: Severity::Error,
        reason: "Without the scopes of a login the provider says neither who it is nor whether it vouches for the \
                 address.",
        fix: "Remove `scopes`, or add the missing ones.",
        find: missing_scopes,
    },
    Rule {
        id: "identity-linking-by-address",
        origin: Origin::Row(4),
        severity: Severity::Error,
        reason: "Not every provider verifies addresses (Microsoft does not), so whoever claims yours gets your account.",
        fix: "Set `linking` to \"vouched\", which also asks where nobody vouches, or to \"ask\".",
        find: linking_by_address,
    },
    Rule {
        id: "apple-name-not-asked",
        origin: Origin::Row(8),
        severity: Severity::Error,
        reason: "Apple tells a person's name only at the very first login, and only if it was asked for.",
        fix: "Add \"name\" to `scopes` of [identity.providers.apple].",
        find: apple_name_not_asked,
    },
    Rule {
        id: "apple-name-lost",
        origin: Origin::Row(8),
        severity: Severity::Warning,
        reason: "Authentik does not keep the name that Apple tells once, at the very first login.",
        fix: "Set `broker` to \"bastide\", or ask people for their name in the application.",
        find: apple_name_lost,
    },
    Rule {
        id: "microsoft-secret-undated",
        origin: Origin::Row(9),
        severity: Severity::Error,
        reason: "Microsoft's secrets stop working after at most 24 months, and nobody is told when.",
        fix: "Use `certificate_file` and `key_file`, or add `client_secret_expires`, so that the day is known.",
        find: microsoft_secret_undated,
    },
    Rule {
        id: "microsoft-secret",
        origin: Origin::Row(9),
        severity: Severity::Warning,
        reason: "The login breaks on the day the secret expires unless somebody replaces it.",
        fix: "Use `certificate_file` and `key_file` of [identity.providers.microsoft].",
        find: microsoft_secret_dated,
    },
    Rule {
        id: "microsoft-certificate-on-authentik",
        origin: Origin::Difference(7),
        severity: Severity::Error,
        reason: "Authentik cannot prove itself to Microsoft by certificate.",
        fix: "Set `broker` to \"bastide\", or use `client_secret_file` with `client_secret_expires`.",
        find: microsoft_certificate_on_authentik,
    },
    Rule {
        id: "identity-tokens-in-app",
        origin: Origin::Row(19),
        severity: Severity::Error,
        reason: "Copies of the providers' access tokens in the application's database are one more place to steal \
                 them from, and go stale.",
        fix: "Remove `upstream_tokens`: the application asks the issuer for a token when it needs one.",
        find: tokens_in_app,
    },
];

fn providers(platform: &Platform) -> &[LoginProvider] {
    &platform.settings.identity.providers
}

fn key(provider: Provider, rest: &str) -> String {
    format!("identity.providers.{}.{rest}", provider.as_str())
}

fn login(platform: &Platform, provider: Provider) -> Option<&LoginProvider> {
    providers(platform).iter().find(|login| login.provider == provider)
}

fn shared_client(platform: &Platform) -> Vec<Spot> {
    let logins = providers(platform);
    let mut spots = Vec::new();
    for (index, login) in logins.iter().enumerate() {
        for other in &logins[..index] {
            let (name, before) = (login.provider.as_str(), other.provider.as_str());
            if login.client_id == other.client_id && login.credential != Credential::Lab {
                let what = format!("{name} and {before} have the same `client_id`");
                spots.push(Spot::new(key(login.provider, "client_id"), what));
            }
            // The lab makes one for each.
            let file = credential_file(login);
            if file.is_some() && file == credential_file(other) {
                let what = format!("{name} and {before} have the same credential");
                spots.push(Spot::new(key(login.provider, "client_secret_file"), what));
            }
        }
    }
    spots
}

fn credential_file(login: &LoginProvider) -> Option<&std::path::Path> {
    match &login.credential {
        Credential::Secret { file, .. } | Credential::SigningKey { file, .. } => Some(file),
        Credential::Certificate { key, .. } => Some(key),
        Credential::Lab => None,
    }
}

/// Scopes without which there is no login: Apple's name has a rule of its own, and offline access is a choice.
fn needed(provider: Provider) -> impl Iterator<Item = &'static str> {
    let optional = ["name", "profile", "offline_access"];
    provider.scopes().iter().copied().filter(move |scope| !optional.contains(scope))
}

fn missing_scopes(platform: &Platform) -> Vec<Spot> {
    let lacking = |login: &LoginProvider| -> Option<Spot> {
        let has = |scope: &str| login.scopes.iter().any(|held| held == scope);
        let missing: Vec<&str> = needed(login.provider).filter(|scope| !has(scope)).collect();
        let what = format!("{} is not asked for {}", login.provider.as_str(), missing.join(" and "));
        (!missing.is_empty()).then(|| Spot::new(key(login.provider, "scopes"), what))
    };
    providers(platform).iter().filter_map(lacking).collect()
}

fn linking_by_address(platform: &Platform) -> Vec<Spot> {
    spot_if(platform.settings.identity.linking == Linking::Address, "identity.linking", || {
        "accounts are joined whenever addresses are the same".to_owned()
    })
}

fn apple_name_not_asked(platform: &Platform) -> Vec<Spot> {
    let apple = login(platform, Provider::Apple);
    let nameless = apple.is_some_and(|apple| !apple.scopes.iter().any(|scope| scope == "name"));
    spot_if(nameless, &key(Provider::Apple, "scopes"), || {
        "Apple is not asked for the person's name".to_owned()
    })
}

fn apple_name_lost(platform: &Platform) -> Vec<Spot> {
    let authentik = platform.settings.identity.broker == Broker::Authentik;
    spot_if(authentik && login(platform, Provider::Apple).is_some(), "identity.providers.apple", || {
        "Apple's logins go through Authentik".to_owned()
    })
}

/// The place of Microsoft's secret, if the secret's end is known or not, as `dated` asks.
fn microsoft_secret(platform: &Platform, dated: bool) -> Option<Spot> {
    let login = login(platform, Provider::Microsoft)?;
    let Credential::Secret { expires, .. } = &login.credential else { return None };
    let until = expires.map_or("an unknown day".to_owned(), |day| day.to_string());
    let what = format!("Microsoft's login rests on a secret that works until {until}");
    (expires.is_some() == dated).then(|| Spot::new(key(Provider::Microsoft, "client_secret_file"), what))
}

fn microsoft_secret_undated(platform: &Platform) -> Vec<Spot> {
    microsoft_secret(platform, false).into_iter().collect()
}

fn microsoft_secret_dated(platform: &Platform) -> Vec<Spot> {
    microsoft_secret(platform, true).into_iter().collect()
}

fn microsoft_certificate_on_authentik(platform: &Platform) -> Vec<Spot> {
    let certificate = login(platform, Provider::Microsoft)
        .is_some_and(|login| matches!(login.credential, Credential::Certificate { .. }));
    let authentik = platform.settings.identity.broker == Broker::Authentik;
    spot_if(authentik && certificate, &key(Provider::Microsoft, "certificate_file"), || {
        "Authentik is to prove itself to Microsoft by certificate".to_owned()
    })
}

fn tokens_in_app(platform: &Platform) -> Vec<Spot> {
    let kept = platform.settings.identity.upstream_tokens == TokenKeeper::Application;
    spot_if(kept, "identity.upstream_tokens", || {
        "the application's database keeps the providers' tokens".to_owned()
    })
}
