//! The application's container.

use super::rule::{Origin, Rule, Severity, Spot, spot_if};
use crate::{Broker, ContainerNetwork, Platform, Role, ServiceUrl};
use std::net::Ipv4Addr;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "app-temp-files",
        origin: Origin::Row(6),
        severity: Severity::Error,
        reason: "The container's root is read-only, so temporary files fail anywhere but in writable memory.",
        fix: "Point the variable at /tmp, or add its directory to `tmpfs`.",
        find: temp_files,
    },
    Rule {
        id: "app-writable-root",
        origin: Origin::Row(6),
        severity: Severity::Warning,
        reason: "Who takes over the process can then change the program, and a restart may hide it.",
        fix: "Remove `read_only`, and add the directories that the application writes to `tmpfs`.",
        find: writable_root,
    },
    Rule {
        id: "app-published-ports",
        origin: Origin::Row(18),
        severity: Severity::Error,
        reason: "Docker publishes ports of bridge networks ahead of ufw's rules, so the firewall does not hold for \
                 them.",
        fix: "Set `network` to \"host\": one container at a time, behind ufw like any process.",
        find: published_ports,
    },
    Rule {
        id: "app-shared-network",
        origin: Origin::Row(18),
        severity: Severity::Error,
        reason: "Containers on the host's network can reach each other's ports, whatever ufw says, and Authentik \
                 brings containers of its own.",
        fix: "Put the roles app and identity on different hosts, or set `broker` to \"bastide\".",
        find: shared_network,
    },
    Rule {
        id: "app-secret-in-environment",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "The platform file is read by everyone who works on it, and an environment shows up in process \
                 listings and crash reports.",
        fix: "Put the secret into a file that the application reads, and its path into a variable that ends in _FILE.",
        find: secret_in_environment,
    },
    Rule {
        id: "app-service-inside",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "The application reaches services outside through the edge, and no flow leads it to another private \
                 address.",
        fix: "Name the service by its public name.",
        find: service_inside,
    },
    Rule {
        id: "app-mail-port",
        origin: Origin::Design,
        severity: Severity::Warning,
        reason: "Port 25 is for mail servers among each other: hosting providers block it, and a login there is often \
                 not encrypted.",
        fix: "Use your mail provider's port for submission: 465 with smtps, or 587 with smtp.",
        find: mail_port,
    },
];

/// Variables by which programs find the place for temporary files.
const TEMPORARY: [&str; 4] = ["TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME"];

/// Last words of a variable's name that holds a secret.
const SECRET_WORDS: [&str; 6] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY"];

fn variables(platform: &Platform) -> impl Iterator<Item = (&str, &str)> {
    platform.settings.app.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

fn temp_files(platform: &Platform) -> Vec<Spot> {
    let app = &platform.settings.app;
    let inside = |path: &str, directory: &str| {
        path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let writable = |path: &str| inside(path, "/tmp") || app.tmpfs.iter().any(|held| inside(path, held));
    let temporary = variables(platform).filter(|(name, path)| TEMPORARY.contains(name) && !writable(path));
    let broken = temporary.filter(|_| app.read_only);
    broken
        .map(|(name, path)| {
            Spot::new(format!("app.environment.{name}"), format!("{name} is {path}, which is read-only"))
        })
        .collect()
}

fn writable_root(platform: &Platform) -> Vec<Spot> {
    spot_if(!platform.settings.app.read_only, "app.read_only", || {
        "the container can write everywhere in itself".to_owned()
    })
}

fn published_ports(platform: &Platform) -> Vec<Spot> {
    spot_if(platform.settings.app.network == ContainerNetwork::Bridge, "app.network", || {
        "the container is on a bridge network with published ports".to_owned()
    })
}

fn shared_network(platform: &Platform) -> Vec<Spot> {
    let authentik = platform.settings.identity.broker == Broker::Authentik;
    let shared = platform.hosts_with(Role::App).filter(|host| authentik && host.has(Role::Identity));
    shared
        .map(|host| {
            let what = format!("{} runs the application beside Authentik's containers", host.name);
            Spot::new(format!("hosts.{}.roles", host.name), what)
        })
        .collect()
}

fn secret_in_environment(platform: &Platform) -> Vec<Spot> {
    let named = |name: &str| SECRET_WORDS.iter().any(|word| name.ends_with(word));
    let secrets = variables(platform).filter(|(name, value)| named(name) || has_password(value));
    secrets
        .map(|(name, _)| {
            Spot::new(format!("app.environment.{name}"), format!("{name} seems to hold a secret"))
        })
        .collect()
}

fn service_inside(platform: &Platform) -> Vec<Spot> {
    let app = &platform.settings.app;
    let services = [
        ("app.sign_in.issuer", app.sign_in.as_ref().map(|sign_in| &sign_in.issuer)),
        ("app.mail.url", app.mail.as_ref().map(|mail| &mail.url)),
        ("app.error_tracker", app.error_tracker.as_ref()),
    ];
    let inside = |url: &ServiceUrl| {
        let address = url.host().parse::<Ipv4Addr>();
        address.is_ok_and(|address| address.is_private() || address.is_loopback() || address.is_link_local())
    };
    let found = services.into_iter().filter_map(|(key, url)| Some((key, url.filter(|url| inside(url))?)));
    found.map(|(key, url)| Spot::new(key, format!("{} is no address of the internet", url.host()))).collect()
}

fn mail_port(platform: &Platform) -> Vec<Spot> {
    let port = platform.settings.app.mail.as_ref().map(|mail| mail.url.port());
    spot_if(port == Some(25), "app.mail.url", || "mail goes to port 25".to_owned())
}

/// Whether the text is a URL with a password.
fn has_password(text: &str) -> bool {
    let authority = text.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    let login = authority.and_then(|authority| authority.rsplit_once('@')).map(|(login, _)| login);
    login.and_then(|login| login.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
}
