//! Flows that the file adds.

use super::hosts::Draft;
use super::nearest::nearest;
use super::section::{Entry, Section};
use super::values::{Choice, Source};
use crate::flow::{Endpoint, Flow, Port};
use crate::host::Role;
use crate::settings::CdnProvider;
use ipnet::Ipv4Net;

/// What flows are checked against.
pub(super) struct Surroundings<'a> {
    pub(super) hosts: &'a [Draft],
    pub(super) private_network: Option<Ipv4Net>,
    pub(super) cdn: CdnProvider,
}

/// Reads `[[flows]]` and reports every flow from or to nowhere.
pub(super) fn read(root: &Section<'_>, around: &Surroundings<'_>) -> Vec<Flow> {
    let items = root.entry("flows").and_then(|entry| entry.items()).unwrap_or_default();
    items.iter().enumerate().filter_map(|(index, item)| flow(item, index, around)).collect()
}

fn flow(item: &Entry<'_>, index: usize, around: &Surroundings<'_>) -> Option<Flow> {
    let section = item.section(format!("flows.{index}"))?;
    let from = required(&section, "from", "from = \"app\"").and_then(|entry| from(&entry, around));
    let to = required(&section, "to", "to = \"db\"").and_then(|entry| to(&entry));
    let port = section.require::<Port>("port", "port = 5432");
    let purpose = section.require::<String>("purpose", "purpose = \"reporting\"");
    if let (Some(from), Some(to)) = (&from, &to) {
        check_reachable(&section, from, to, around.hosts);
    }
    section.finish();
    Some(Flow { from: from?, to: to?, port: port?, purpose: purpose? })
}

fn required<'a>(section: &Section<'a>, key: &'static str, example: &str) -> Option<Entry<'a>> {
    let entry = section.entry(key);
    if entry.is_none() {
        section.missing(key, example);
    }
    entry
}

fn named(text: &str) -> Option<Endpoint> {
    match text {
        "internet" => Some(Endpoint::Internet),
        "cdn" => Some(Endpoint::Cdn),
        "operator" => Some(Endpoint::Operator),
        "every-host" => Some(Endpoint::AnyHost),
        role => Role::NAMES.iter().find(|(name, _)| *name == role).map(|(_, role)| Endpoint::Role(*role)),
    }
}

fn from(entry: &Entry<'_>, around: &Surroundings<'_>) -> Option<Endpoint> {
    let text = entry.text("the name of a source, or an address")?;
    if let Some(endpoint) = named(text) {
        if endpoint == Endpoint::Cdn && around.cdn == CdnProvider::None {
            let help = "set `provider` in [cdn], or write \"internet\"".to_owned();
            entry.reject("no CDN stands in front of this platform".to_owned(), help);
            return None;
        }
        return Some(endpoint);
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        nowhere(entry, text, &["internet", "cdn", "operator", "every-host"], ", an address or a network");
        return None;
    }
    let Source(network) = super::values::Value::read(entry)?;
    if around.private_network.is_some_and(|own| own.contains(&network) || network.contains(&own)) {
        let help = "hosts are named by their role".to_owned();
        entry.reject(format!("{network} is inside the private network"), help);
        return None;
    }
    Some(Endpoint::Network(network))
}

fn to(entry: &Entry<'_>) -> Option<Endpoint> {
    let text = entry.text("the name of a role")?;
    let endpoint = named(text).filter(|to| matches!(to, Endpoint::Role(_) | Endpoint::AnyHost));
    if endpoint.is_none() {
        nowhere(entry, text, &["every-host"], "");
    }
    endpoint
}

fn nowhere(entry: &Entry<'_>, text: &str, special: &[&'static str], rest: &str) {
    let names: Vec<&str> = Role::NAMES.iter().map(|(name, _)| *name).chain(special.iter().copied()).collect();
    let guess = nearest(text, names.iter().copied()).map(|name| format!("did you mean \"{name}\"? "));
    let list = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let help = format!("{}expected one of {list}{rest}", guess.unwrap_or_default());
    entry.reject(format!("a flow {} \"{text}\" goes nowhere", entry.key), help);
}

/// Nothing outside has a route to a private host, so a rule for it would only look as if it did something.
fn check_reachable(section: &Section<'_>, from: &Endpoint, to: &Endpoint, hosts: &[Draft]) {
    let outside =
        matches!(from, Endpoint::Internet | Endpoint::Cdn | Endpoint::Operator | Endpoint::Network(_));
    let holds = |host: &Draft| match to {
        Endpoint::Role(role) => host.roles().any(|held| held == *role),
        _ => true,
    };
    let edge = |host: &Draft| host.roles().any(|role| role == Role::Edge);
    let private = |host: &&Draft| holds(host) && !edge(host);
    if outside && hosts.iter().any(|host| private(&host)) {
        let help = "let it end at the edge, which can pass it on".to_owned();
        let message = format!("a flow from {from} to {to} goes nowhere: private hosts have no route outside");
        section.sheet.report(&section.span, message, help);
    }
}
