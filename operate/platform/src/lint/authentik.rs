//! What Authentik cannot do, or does unsafely, where it is the broker.

use super::rule::{Origin, Rule, Severity, Spot, spot_if};
use crate::{Broker, Credential, Linking, Pkce, Platform, Provider};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "authentik-image",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "A tag can be moved to another image, and the issuer would then be whatever it is moved to.",
        fix: "Set `image` of [identity.authentik] to name@sha256:digest.",
        find: image,
    },
    Rule {
        id: "authentik-linking",
        origin: Origin::Difference(6),
        severity: Severity::Error,
        reason: "Authentik's `email_link` compares addresses and never asks whether they are verified, so it is safe only \
                 where every provider vouches for its addresses.",
        fix: "Set `linking` to \"ask\", or `broker` to \"bastide\".",
        find: linking,
    },
    Rule {
        id: "authentik-token-exchange",
        origin: Origin::Difference(7),
        severity: Severity::Error,
        reason: "Authentik does not hand out login providers' access tokens.",
        fix: "Remove `upstream_tokens`, or set `broker` to \"bastide\".",
        find: token_exchange,
    },
    Rule {
        id: "authentik-pkce",
        origin: Origin::Difference(7),
        severity: Severity::Error,
        reason: "Authentik takes a code challenge where one is sent and cannot require one.",
        fix: "Set `pkce` to \"optional\", knowing that nothing enforces it, or `broker` to \"bastide\".",
        find: pkce,
    },
    Rule {
        id: "authentik-unsupported",
        origin: Origin::Difference(7),
        severity: Severity::Error,
        reason: "What is configured through Authentik's API has no such setting, and leaving it out would open what it \
                 closes.",
        fix: "Remove the setting, or set `broker` to \"bastide\".",
        find: unsupported,
    },
];

fn is_broker(platform: &Platform) -> bool {
    platform.settings.identity.broker == Broker::Authentik
}

/// Whether a name of an image ends with the digest that it must have.
fn is_pinned(image: &str) -> bool {
    let Some((name, digest)) = image.split_once("@sha256:") else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':');
    let hex = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='f');
    !name.is_empty() && name.chars().all(plain) && digest.len() == 64 && digest.chars().all(hex)
}

fn image(platform: &Platform) -> Vec<Spot> {
    let image = platform.settings.identity.authentik.image.as_deref();
    let wrong = is_broker(platform) && !image.is_some_and(is_pinned);
    spot_if(wrong, "identity.authentik.image", || {
        format!("Authentik's image is {}", image.unwrap_or("not named"))
    })
}

fn linking(platform: &Platform) -> Vec<Spot> {
    let identity = &platform.settings.identity;
    let vouches = |provider| matches!(provider, Provider::Google | Provider::Apple);
    let others = identity.providers.iter().map(|login| login.provider).find(|provider| !vouches(*provider));
    let wrong = others.filter(|_| is_broker(platform) && identity.linking == Linking::Vouched);
    let spot = |provider: Provider| {
        let what = format!("identities join by address, and {} does not vouch for it", provider.as_str());
        Spot::new("identity.linking", what)
    };
    wrong.map(spot).into_iter().collect()
}

fn token_exchange(platform: &Platform) -> Vec<Spot> {
    let clients = platform.settings.identity.clients.iter();
    let asking = clients.filter(|client| is_broker(platform) && client.upstream_tokens);
    asking
        .map(|client| {
            let what = format!("{} is to exchange its token for a login provider's", client.id);
            Spot::new(format!("identity.clients.{}.upstream_tokens", client.id), what)
        })
        .collect()
}

fn pkce(platform: &Platform) -> Vec<Spot> {
    let clients = platform.settings.identity.clients.iter();
    let strict = clients.filter(|client| is_broker(platform) && client.pkce == Pkce::Required);
    strict
        .map(|client| {
            let what = format!("{} is to be refused without a code challenge", client.id);
            Spot::new(format!("identity.clients.{}.pkce", client.id), what)
        })
        .collect()
}

fn unsupported(platform: &Platform) -> Vec<Spot> {
    let identity = &platform.settings.identity;
    if !is_broker(platform) {
        return Vec::new();
    }
    let mut spots = Vec::new();
    for provider in &identity.oidc {
        let what = format!("{} is no provider that is set up in Authentik", provider.name);
        spots.push(Spot::new(format!("identity.oidc.{}", provider.name), what));
    }
    for login in &identity.providers {
        let name = login.provider.as_str();
        if login.credential == Credential::Lab {
            let what = format!("{name} is the lab's own, which is not set up in Authentik");
            spots.push(Spot::new(format!("identity.providers.{name}"), what));
        }
        let settings = [("hosted_domain", login.hosted_domain.is_some()), ("at", login.at.is_some())];
        spots.extend(settings.into_iter().filter(|(_, set)| *set).map(|(setting, _)| {
            let what = format!("{name} has `{setting}`, which is not set up in Authentik");
            Spot::new(format!("identity.providers.{name}.{setting}"), what)
        }));
    }
    for client in identity.clients.iter().filter(|client| client.keys_file.is_some()) {
        let what = format!("{} is to prove itself by keys", client.id);
        spots.push(Spot::new(format!("identity.clients.{}.keys_file", client.id), what));
    }
    spots
}
