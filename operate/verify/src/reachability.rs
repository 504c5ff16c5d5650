//! Reachability: the traffic that passes is the traffic that the flows allow, measured from every place.
//!
//! One survey measures everything once; the checks judge its parts, and the report shows it as a matrix.

mod public;
mod survey;
mod traffic;

pub use survey::survey;
pub use traffic::{Cell, Expected, Measured, Traffic, Verdict};

use crate::{Check, Failure, Field, Vantage};
use bastide_platform::{CdnProvider, Endpoint, Host, Platform, Port, Transport};
use std::collections::BTreeSet;

const COMPONENT: &str = "reachability";

/// The checks of a platform's reachability.
pub fn checks(platform: &Platform) -> Vec<Check> {
    let mut checks = vec![public::every_port_of_the_edge(platform), public::one_public_address()];
    for host in &platform.hosts {
        let from = vantages(platform).into_iter().filter(|from| tries(platform, from, host));
        checks.extend(from.map(|from| pair(from, host)));
    }
    checks
}

/// Every place whose traffic is measured: a CDN is one only where it stands in front.
fn vantages(platform: &Platform) -> Vec<Vantage> {
    let cdn = platform.settings.cdn.provider != CdnProvider::None;
    let outside = [Vantage::Internet, Vantage::AnotherClient, Vantage::Operator];
    outside
        .into_iter()
        .chain(cdn.then_some(Vantage::Cdn))
        .chain(platform.hosts.iter().map(|host| Vantage::host(&host.name)))
        .collect()
}

/// Whether packets may be sent from `from` towards `host` at all.
///
/// Outside the private network its addresses may belong to strangers. A lab's clients are the exception: they are
/// neighbours of the edge, and send what is for the private network to the edge, as an attacker there would.
fn tries(platform: &Platform, from: &Vantage, host: &Host) -> bool {
    match from {
        Vantage::Host(name) => name != host.name.as_str(),
        Vantage::Operator => host.public_address.is_some(),
        Vantage::Internet | Vantage::AnotherClient | Vantage::Cdn | Vantage::LoginProviders => {
            host.public_address.is_some() || platform.settings.lab.is_some()
        }
    }
}

/// The check that `from` reaches at `host` what the flows say, and nothing else.
fn pair(from: Vantage, host: &Host) -> Check {
    let id = format!("{COMPONENT}/{}-to-{}", from.to_string().replace(' ', "-"), host.name);
    let claim = format!("{from} reaches {} exactly where a flow says", host.name);
    let to = host.name.as_str().to_owned();
    Check::new(&id, COMPONENT, Some(host.name.as_str()), &claim, move |field| {
        let (from, to) = (from.clone(), to.clone());
        async move {
            let traffic = field.traffic().await;
            judge(&traffic, &from, &to)
        }
    })
}

/// Evidence or refutation from what was measured between two places.
fn judge(traffic: &Traffic, from: &Vantage, to: &str) -> Result<String, Failure> {
    if let Some(reason) = traffic.blind.get(to) {
        return Err(Failure::Refuted(format!("not proven: what listens on {to} is unknown: {reason}")));
    }
    let cells: Vec<&Cell> = traffic.between(from, to).collect();
    let wrong: Vec<String> = cells.iter().filter_map(|cell| cell.complaint()).collect();
    if !wrong.is_empty() {
        return Err(Failure::Refuted(wrong.join("; ")));
    }
    let untried = cells.iter().find_map(|cell| match &cell.measured {
        Measured::NotTried(reason) => Some(reason.clone()),
        _ => None,
    });
    if let Some(reason) = untried {
        return Err(Failure::Impossible(reason));
    }
    if cells.is_empty() {
        return Err(Failure::Refuted("not proven: nothing was measured".to_owned()));
    }
    Ok(summary(&cells))
}

fn summary(cells: &[&Cell]) -> String {
    let ports = |wanted: fn(&Cell) -> bool| -> BTreeSet<Port> {
        cells.iter().filter(|cell| wanted(cell)).map(|cell| cell.port).collect()
    };
    let open = ports(|cell| matches!(cell.expected, Expected::Open(_)));
    let closed = ports(|cell| cell.expected == Expected::Closed);
    let quiet = cells.iter().any(|cell| cell.measured == Measured::OpenForVisitor);
    let mut text = match open.len() {
        0 => "nothing open".to_owned(),
        _ => format!("open: {}", list(&open)),
    };
    if quiet {
        text += " (some proven by a temporary listener)";
    }
    if !closed.is_empty() {
        text += &format!("; {} other ports closed", closed.len());
    }
    text
}

/// Ports as people write them: TCP by number alone.
fn list(ports: &BTreeSet<Port>) -> String {
    let words: Vec<String> = ports.iter().map(|port| name(*port)).collect();
    words.join(", ")
}

/// A port as people write it: TCP by number alone.
pub(crate) fn name(port: Port) -> String {
    match port.transport {
        Transport::Tcp => port.number.to_string(),
        Transport::Udp => format!("{}/udp", port.number),
    }
}

impl Field {
    /// What the flows allow from `from` to a port of the host named `to`: the purpose.
    pub fn purpose(&self, from: &Vantage, to: &str, port: Port) -> Option<&str> {
        let mut allowed =
            self.allowed.iter().filter(|allowed| allowed.to.as_str() == to && allowed.port == port);
        allowed.find(|allowed| self.comes_from(from, allowed.from)).map(|allowed| allowed.purpose.as_str())
    }

    /// Whether connections from `from` come from an address in `network`.
    fn comes_from(&self, from: &Vantage, network: ipnet::Ipv4Net) -> bool {
        let named = |endpoint| self.platform.sources(&endpoint).contains(&network);
        let everyone = network.prefix_len() == 0;
        match from {
            Vantage::Host(name) => {
                self.platform.host(name).is_some_and(|host| network.contains(&host.address))
            }
            Vantage::Operator => everyone || named(Endpoint::Operator),
            Vantage::Cdn => everyone || named(Endpoint::Cdn),
            Vantage::Internet | Vantage::AnotherClient | Vantage::LoginProviders => everyone,
        }
    }
}

#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod tests;
