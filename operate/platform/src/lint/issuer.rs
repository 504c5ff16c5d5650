//! The issuer on its host, and who may ask it.

use super::rule::{Origin, Rule, Severity, Spot, spot_if};
use crate::{APP_CLIENT, Client, Pkce, Platform, Role};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "identity-no-provider",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "Without a login provider nobody can sign in at the issuer, so it is not built.",
        fix: "Add a provider to [identity.providers] or [identity.oidc].",
        find: no_provider,
    },
    Rule {
        id: "identity-own-name",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "At one name the application's cookies and the issuer's would be sent to both.",
        fix: "Remove `domain`, or give the issuer a name that nothing else has.",
        find: own_name,
    },
    Rule {
        id: "identity-several-hosts",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "Each would have accounts, sessions and signing keys of its own.",
        fix: "Give the role identity to one host.",
        find: several_hosts,
    },
    Rule {
        id: "identity-beside-database",
        origin: Origin::Difference(8),
        severity: Severity::Error,
        reason: "Who people are is kept in a cluster of its own, which the application's host cannot reach, and a host \
                 has one cluster.",
        fix: "Put the roles db and identity on different hosts.",
        find: beside_database,
    },
    Rule {
        id: "identity-client-redirect",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "Codes are sent there, and whoever reads along or owns what a pattern matches signs in as somebody else.",
        fix: "Write whole https URLs without `*`, `#` and user; only 127.0.0.1 and [::1] may be http.",
        find: loose_redirects,
    },
    Rule {
        id: "identity-client-logout",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "The issuer tells the end of a session to a server that TLS proves, and to no other.",
        fix: "Write a whole https URL without a fragment.",
        find: loose_back_channel,
    },
    Rule {
        id: "identity-client-taken",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "The platform's own application is the client `app`, with addresses and a secret that `bastide` makes.",
        fix: "Give the client another name.",
        find: taken,
    },
    Rule {
        id: "identity-client-shared-redirect",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "What one client's person brings back, the other client could take for its own.",
        fix: "Give each client an address of its own.",
        find: shared_redirects,
    },
    Rule {
        id: "identity-client-without-pkce",
        origin: Origin::Design,
        severity: Severity::Warning,
        reason: "Without a code challenge whoever gets hold of a code and of the client's secret can redeem it.",
        fix: "Remove `pkce`, unless the client cannot send a challenge.",
        find: without_pkce,
    },
];

fn clients(platform: &Platform) -> &[Client] {
    &platform.settings.identity.clients
}

fn key(client: &Client, rest: &str) -> String {
    format!("identity.clients.{}.{rest}", client.id)
}

fn no_provider(platform: &Platform) -> Vec<Spot> {
    let identity = &platform.settings.identity;
    spot_if(!identity.has_provider() && !identity.clients.is_empty(), "identity.clients", || {
        "clients are to sign people in at an issuer without a login provider".to_owned()
    })
}

fn own_name(platform: &Platform) -> Vec<Spot> {
    let shared = platform.issuer_domain() == platform.domain;
    spot_if(shared, "identity.domain", || {
        format!("the issuer and the application are both {}", platform.domain)
    })
}

fn several_hosts(platform: &Platform) -> Vec<Spot> {
    let several = platform.hosts_with(Role::Identity).skip(1);
    let broken = several.filter(|_| platform.issuer_host().is_some());
    broken
        .map(|host| {
            Spot::new(format!("hosts.{}.roles", host.name), format!("{} is a second issuer", host.name))
        })
        .collect()
}

fn beside_database(platform: &Platform) -> Vec<Spot> {
    let shared = platform.issuer_host().filter(|host| host.has(Role::Db));
    let spot = |host: &crate::Host| {
        let what = format!("{} keeps the issuer's accounts beside the application's data", host.name);
        Spot::new(format!("hosts.{}.roles", host.name), what)
    };
    shared.map(spot).into_iter().collect()
}

/// Whether an address is whole, and read by every browser as what is written.
fn is_exact(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'\\' | b'#'));
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.strip_prefix('[').map_or_else(
        || authority.split(':').next().unwrap_or_default(),
        |rest| rest.split(']').next().unwrap_or_default(),
    );
    let loopback = matches!(host, "127.0.0.1" | "::1");
    plain
        && !host.is_empty()
        && !authority.contains('@')
        && (scheme == "https" || (scheme == "http" && loopback))
}

fn loose_redirects(platform: &Platform) -> Vec<Spot> {
    let of = |client: &Client| {
        let lists = [
            ("redirect_uris", client.redirect_uris.clone()),
            ("post_logout_redirect_uris", client.post_logout_redirect_uris.clone()),
        ];
        let empty = client.redirect_uris.is_empty().then(|| {
            Spot::new(
                key(client, "redirect_uris"),
                format!("{} has nowhere to send people back to", client.id),
            )
        });
        let loose = lists.into_iter().flat_map(|(list, uris)| {
            uris.into_iter().filter(|uri| !is_exact(uri)).map(move |uri| (list, uri)).collect::<Vec<_>>()
        });
        let spots = loose.map(|(list, uri)| {
            Spot::new(key(client, list), format!("{} sends people to {uri:?}", client.id))
        });
        spots.chain(empty).collect::<Vec<_>>()
    };
    clients(platform).iter().flat_map(of).collect()
}

fn loose_back_channel(platform: &Platform) -> Vec<Spot> {
    let loose = |client: &Client| {
        let uri = client.back_channel_logout_uri.as_ref()?;
        let fit = is_exact(uri) && uri.starts_with("https://");
        let what = format!("{} is told of ended sessions at {uri:?}", client.id);
        (!fit).then(|| Spot::new(key(client, "back_channel_logout_uri"), what))
    };
    clients(platform).iter().filter_map(loose).collect()
}

fn taken(platform: &Platform) -> Vec<Spot> {
    let own = platform.signs_in_at_own_issuer();
    let taken = clients(platform).iter().filter(|client| own && client.id == APP_CLIENT);
    taken.map(|client| Spot::new(key(client, "redirect_uris"), "a second client is called `app`")).collect()
}

fn shared_redirects(platform: &Platform) -> Vec<Spot> {
    let all = clients(platform);
    let mut spots = Vec::new();
    for (index, client) in all.iter().enumerate() {
        for other in &all[..index] {
            let shared = client.redirect_uris.iter().filter(|uri| other.redirect_uris.contains(uri));
            spots.extend(shared.map(|uri| {
                let what = format!("{} and {} both have {uri}", client.id, other.id);
                Spot::new(key(client, "redirect_uris"), what)
            }));
        }
    }
    spots
}

fn without_pkce(platform: &Platform) -> Vec<Spot> {
    let open = clients(platform).iter().filter(|client| client.pkce == Pkce::Optional);
    open.map(|client| {
        Spot::new(key(client, "pkce"), format!("{} may ask without a code challenge", client.id))
    })
    .collect()
}
