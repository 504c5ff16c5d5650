//! The border: CDN, certificates, bans, the way in.

use super::rule::{Origin, Rule, Severity, Spot, spot_if};
use crate::{BanAction, CdnProvider, Challenge, Endpoint, Flow, Platform, Port, Role, SslMode, Transport};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "cdn-ssl-mode",
        origin: Origin::Row(1),
        severity: Severity::Error,
        reason: "Short of full-strict, the CDN reaches the edge in plain text or without verifying who answers.",
        fix: "Set `ssl_mode` to \"full-strict\", here and for the zone at the CDN.",
        find: ssl_mode,
    },
    Rule {
        id: "cdn-origin-open",
        origin: Origin::Row(1),
        severity: Severity::Error,
        reason: "Whoever reaches the edge directly goes around the CDN's filters, limits and bans.",
        fix: "Remove the flow: ports 80 and 443 are open to the CDN's ranges already.",
        find: origin_open,
    },
    Rule {
        id: "cdn-origin-pulls",
        origin: Origin::Row(1),
        severity: Severity::Error,
        reason: "The CDN's addresses are shared by all its customers, so an address alone does not prove that a \
                 request came through your zone.",
        fix: "Turn on authenticated origin pulls with a certificate of your own, and name its authority in \
              `origin_pull_authority`.",
        find: origin_pulls,
    },
    Rule {
        id: "cdn-raw-port",
        origin: Origin::Row(13),
        severity: Severity::Error,
        reason: "The CDN's proxy passes HTTP and HTTPS on and nothing else.",
        fix: "Let the flow come from the addresses that need it, and reach it by a name that is not proxied.",
        find: raw_port_from_cdn,
    },
    Rule {
        id: "cdn-bypassed-port",
        origin: Origin::Row(13),
        severity: Severity::Warning,
        reason: "The port answers only at a name that is not proxied, and that name tells everyone where the edge is.",
        fix: "Let the flow come from the addresses that need it instead of the internet.",
        find: raw_port_from_internet,
    },
    Rule {
        id: "acme-wildcard-challenge",
        origin: Origin::Row(14),
        severity: Severity::Error,
        reason: "A certificate authority gives a wildcard only to who proves the whole domain, in DNS.",
        fix: "Set `challenge` to \"dns-01\", or name each host in `names`.",
        find: wildcard_over_http,
    },
    Rule {
        id: "acme-dns-token",
        origin: Origin::Row(14),
        severity: Severity::Error,
        reason: "DNS-01 writes a record into the zone, which takes a token of whoever hosts it.",
        fix: "Set `provider` and `api_token_file` in [cdn], or set `challenge` to \"http-01\".",
        find: dns_without_token,
    },
    Rule {
        id: "acme-redirected-challenge",
        origin: Origin::Row(15),
        severity: Severity::Warning,
        reason: "With Always Use HTTPS the CDN redirects the challenge to HTTPS, which the edge cannot answer before \
                 it has its first certificate.",
        fix: "Turn Always Use HTTPS off until the first certificate is there, or set `challenge` to \"dns-01\".",
        find: redirected_challenge,
    },
    Rule {
        id: "fail2ban-behind-cdn",
        origin: Origin::Row(16),
        severity: Severity::Error,
        reason: "Behind a CDN every packet comes from the CDN, so a firewall's ban of the client blocks nothing, or \
                 the CDN itself.",
        fix: "Set `action` to \"proxy\": Caddy knows the client's address and answers 403.",
        find: firewall_behind_cdn,
    },
    Rule {
        id: "ssh-from-everywhere",
        origin: Origin::Design,
        severity: Severity::Warning,
        reason: "The bastion is the way to every host, and everyone may knock at it.",
        fix: "Name the networks from which you operate in `addresses` of [operator].",
        find: ssh_from_everywhere,
    },
];

fn behind_cdn(platform: &Platform) -> bool {
    platform.settings.cdn.provider != CdnProvider::None
}

fn is_web(port: Port) -> bool {
    matches!(port.number, 80 | 443)
}

/// Spots of the file's flows to the edge that fit.
pub(super) fn flows_where(platform: &Platform, fits: impl Fn(&Flow) -> bool) -> Vec<Spot> {
    let flows = platform.extra_flows.iter().enumerate().filter(|(_, flow)| fits(flow));
    let what = |flow: &Flow| format!("a flow leads from {} to {}, port {}", flow.from, flow.to, flow.port);
    flows.map(|(index, flow)| Spot::new(format!("flows.{index}"), what(flow))).collect()
}

fn to_edge(flow: &Flow) -> bool {
    matches!(flow.to, Endpoint::Role(Role::Edge) | Endpoint::AnyHost)
}

fn ssl_mode(platform: &Platform) -> Vec<Spot> {
    let mode = platform.settings.cdn.ssl_mode;
    spot_if(behind_cdn(platform) && mode != SslMode::FullStrict, "cdn.ssl_mode", || {
        format!(
            "the CDN's mode towards the edge is \"{}\"",
            if mode == SslMode::Full { "full" } else { "flexible" }
        )
    })
}

fn origin_open(platform: &Platform) -> Vec<Spot> {
    let open = |flow: &Flow| {
        to_edge(flow) && is_web(flow.port) && matches!(flow.from, Endpoint::Internet | Endpoint::Network(_))
    };
    if behind_cdn(platform) { flows_where(platform, open) } else { Vec::new() }
}

/// A lab makes the authority itself.
fn origin_pulls(platform: &Platform) -> Vec<Spot> {
    let settings = &platform.settings;
    let missing = settings.cdn.origin_pull_authority.is_none() && settings.lab.is_none();
    spot_if(behind_cdn(platform) && missing, "cdn.origin_pull_authority", || {
        "the edge takes requests from anyone in the CDN's ranges".to_owned()
    })
}

fn raw_port_from_cdn(platform: &Platform) -> Vec<Spot> {
    let raw = |flow: &Flow| {
        flow.from == Endpoint::Cdn && (!is_web(flow.port) || flow.port.transport == Transport::Udp)
    };
    flows_where(platform, raw)
}

fn raw_port_from_internet(platform: &Platform) -> Vec<Spot> {
    let raw = |flow: &Flow| flow.from == Endpoint::Internet && to_edge(flow) && !is_web(flow.port);
    if behind_cdn(platform) { flows_where(platform, raw) } else { Vec::new() }
}

fn wildcard_over_http(platform: &Platform) -> Vec<Spot> {
    let acme = &platform.settings.acme;
    let wildcards = acme.names.iter().enumerate().filter(|(_, name)| name.starts_with("*."));
    let over_http = wildcards.filter(|_| acme.challenge == Challenge::Http01);
    over_http
        .map(|(index, name)| {
            Spot::new(format!("acme.names.{index}"), format!("{name} is to be proven by HTTP-01"))
        })
        .collect()
}

fn dns_without_token(platform: &Platform) -> Vec<Spot> {
    let settings = &platform.settings;
    let missing = settings.acme.challenge == Challenge::Dns01 && settings.cdn.api_token_file.is_none();
    spot_if(missing, "acme.challenge", || "DNS-01 is chosen and no token for the zone is named".to_owned())
}

fn redirected_challenge(platform: &Platform) -> Vec<Spot> {
    let settings = &platform.settings;
    let redirected = settings.cdn.always_use_https && settings.acme.challenge == Challenge::Http01;
    spot_if(behind_cdn(platform) && redirected, "cdn.always_use_https", || {
        "HTTP-01 is chosen and the CDN redirects every request to HTTPS".to_owned()
    })
}

fn firewall_behind_cdn(platform: &Platform) -> Vec<Spot> {
    let firewall = platform.settings.fail2ban.action == BanAction::Firewall;
    spot_if(behind_cdn(platform) && firewall, "fail2ban.action", || {
        "bans act in the firewall of an edge behind a CDN".to_owned()
    })
}

fn ssh_from_everywhere(platform: &Platform) -> Vec<Spot> {
    let addresses = platform.settings.operator.addresses.iter().enumerate();
    let wide = addresses.filter(|(_, network)| network.prefix_len() < 8);
    let wide = wide.map(|(index, network)| {
        Spot::new(format!("operator.addresses.{index}"), format!("SSH is open to {network}"))
    });
    let ports: Vec<u16> = platform.hosts.iter().map(|host| host.ssh.port).collect();
    let flow = |flow: &Flow| {
        flow.from == Endpoint::Internet
            && flow.port.transport == Transport::Tcp
            && ports.contains(&flow.port.number)
    };
    wide.chain(flows_where(platform, flow)).collect()
}
