//! Flows as addresses: what the firewall is made from and what the reachability check measures against.

use crate::{Endpoint, Flow, Host, HostName, Platform, Port};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// Traffic that may pass: from these addresses to this port of this host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Allowed {
    /// Source addresses; `0.0.0.0/0` is everyone.
    pub from: Ipv4Net,
    /// Host that accepts it, at any of its addresses.
    pub to: HostName,
    /// The port there.
    pub port: Port,
    /// What it is for, in a few words.
    pub purpose: String,
}

impl Platform {
    /// Resolves flows to addresses and hosts, sorted and without repetition.
    ///
    /// A host needs no permission to reach itself, so no entry leads from a host to itself alone. A flow to somewhere
    /// outside the platform allows nothing on any host and is left out.
    pub fn allowed(&self, flows: &[Flow]) -> Vec<Allowed> {
        let mut allowed: Vec<Allowed> = flows.iter().flat_map(|flow| self.allowed_by(flow)).collect();
        allowed.sort();
        allowed.dedup_by(|a, b| (a.from, &a.to, a.port) == (b.from, &b.to, b.port));
        allowed
    }

    fn allowed_by(&self, flow: &Flow) -> Vec<Allowed> {
        let sources = self.sources(&flow.from);
        let mut allowed = Vec::new();
        for host in self.destinations(&flow.to) {
            let own = Ipv4Net::from(host.address);
            for from in sources.iter().copied().filter(|&from| from != own) {
                let purpose = flow.purpose.clone();
                allowed.push(Allowed { from, to: host.name.clone(), port: flow.port, purpose });
            }
        }
        allowed
    }

    /// Addresses from which an endpoint's connections come.
    pub fn sources(&self, endpoint: &Endpoint) -> Vec<Ipv4Net> {
        let lab = self.settings.lab.as_ref();
        match endpoint {
            Endpoint::Internet => vec![Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)],
            Endpoint::Cdn => match lab {
                Some(lab) if self.settings.cdn.ranges.is_empty() => vec![lab.cdn_range()],
                _ => self.settings.cdn.ranges.clone(),
            },
            Endpoint::Operator => match lab {
                Some(lab) if self.settings.operator.addresses.is_empty() => vec![lab.operator().into()],
                _ => self.settings.operator.addresses.clone(),
            },
            Endpoint::Role(_) | Endpoint::AnyHost => {
                self.destinations(endpoint).map(|host| Ipv4Net::from(host.address)).collect()
            }
            Endpoint::Network(network) => vec![*network],
        }
    }

    fn destinations<'a>(&'a self, endpoint: &'a Endpoint) -> impl Iterator<Item = &'a Host> {
        self.hosts.iter().filter(move |host| match endpoint {
            Endpoint::Role(role) => host.has(*role),
            Endpoint::AnyHost => true,
            Endpoint::Internet | Endpoint::Cdn | Endpoint::Operator | Endpoint::Network(_) => false,
        })
    }
}
