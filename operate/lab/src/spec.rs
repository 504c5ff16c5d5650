//! The description a lab is made from, and the rules it keeps.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::addresses::Addresses;
use crate::error::{LabError, Result};

/// Longest lab name: the operator's network interface `bs-NAME` has at most 15 characters.
const LONGEST_LAB_NAME: usize = 12;
/// Longest host name: a host's port on a bridge carries its name.
const LONGEST_HOST_NAME: usize = 15;
/// Names of network namespaces that are not hosts.
const RESERVED: [&str; 8] =
    ["internet", "private", "cdn", "acme", "providers", "client", "client2", "operator"];
/// Networks with an owner of their own: loopback, link-local and multicast.
const FOREIGN: [&str; 3] = ["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"];

/// Everything a lab is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabSpec {
    /// Name of the lab: 1 to 12 of `a-z`, `0-9` and `-`. Labs with different names and public networks run side by side.
    pub name: String,
    /// Domain of the lab's world, under `.test`, for example `bastide.test`.
    pub domain: String,
    /// The lab's internet: at least 64 addresses, of a documentation range.
    pub public_network: Ipv4Net,
    /// The network of the hosts, which exists only inside namespaces.
    pub private_network: Ipv4Net,
    /// The hosts, one of which is the gateway.
    pub hosts: Vec<LabHost>,
    /// Whether a CDN stands between the internet and the gateway.
    pub cdn: bool,
    /// The platform's public names, for example `bastide.test` and `id.bastide.test`.
    pub names: Vec<String>,
    /// The name among them at which the issuer is, which the world's login providers know as their client; without one there
    /// are none.
    #[serde(default)]
    pub issuer: Option<String>,
}

/// One host of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabHost {
    /// Name of the host: 1 to 15 of `a-z`, `0-9` and `-`.
    pub name: String,
    /// Address on the private network.
    pub private_address: Ipv4Addr,
    /// Address on the internet, for a host that has one.
    pub public_address: Option<Ipv4Addr>,
    /// Operating system.
    pub os: LabOs,
    /// Whether this is the edge: the default route of the hosts without a public address leads through it.
    pub gateway: bool,
}

/// Operating systems a lab host can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LabOs {
    /// Debian 14, forky.
    #[serde(rename = "debian-14")]
    Debian14,
    /// Debian 13, trixie.
    #[serde(rename = "debian-13")]
    Debian13,
}

impl LabSpec {
    /// Checks every rule a description must keep.
    ///
    /// # Errors
    /// [`LabError::InvalidSpec`] names the first rule that is broken.
    pub fn validate(&self) -> Result<()> {
        self.validate_names()?;
        self.validate_networks()?;
        self.validate_hosts()
    }

    /// The host that the others' egress and the CDN's requests go to.
    pub(crate) fn gateway(&self) -> &LabHost {
        self.hosts.iter().find(|host| host.gateway).expect("validated: one host is the gateway")
    }

    /// The gateway's address on the internet.
    pub(crate) fn origin_address(&self) -> Ipv4Addr {
        self.gateway().public_address.expect("validated: the gateway has a public address")
    }

    /// What differs between two descriptions, for an error message.
    pub(crate) fn difference(&self, other: &Self) -> String {
        let parts = [
            ("domain", self.domain != other.domain),
            ("public_network", self.public_network != other.public_network),
            ("private_network", self.private_network != other.private_network),
            ("hosts", self.hosts != other.hosts),
            ("cdn", self.cdn != other.cdn),
            ("names", self.names != other.names),
            ("issuer", self.issuer != other.issuer),
        ];
        parts.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    fn validate_names(&self) -> Result<()> {
        if !is_label(&self.name, LONGEST_LAB_NAME) {
            return invalid(format!(
                "name {:?} must be 1 to {LONGEST_LAB_NAME} of a-z, 0-9 and -, and must not begin or end with -",
                self.name
            ));
        }
        if !self.domain.ends_with(".test") {
            return invalid(format!(
                "domain {:?} must end in .test, which no resolver sends to the real internet",
                self.domain
            ));
        }
        for name in self.names.iter().chain([&self.domain]) {
            if !name.split('.').all(|label| is_label(label, 63)) {
                return invalid(format!("{name:?} is not a domain name"));
            }
            if *name != self.domain && !name.ends_with(&format!(".{}", self.domain)) {
                return invalid(format!("name {name:?} is not in the domain {}", self.domain));
            }
        }
        let acme = self.acme_name();
        if self.names.contains(&acme) {
            return invalid(format!("name {acme} belongs to the lab's ACME authority"));
        }
        if let Some(issuer) = self.issuer.as_ref().filter(|issuer| !self.names.contains(issuer)) {
            return invalid(format!("the issuer's name {issuer} is not among the platform's names"));
        }
        Ok(())
    }

    fn validate_networks(&self) -> Result<()> {
        for network in [self.public_network, self.private_network] {
            if network.addr() != network.network() {
                return invalid(format!("{network} has host bits set: write {}", network.trunc()));
            }
            for foreign in FOREIGN {
                let foreign: Ipv4Net = foreign.parse().expect("a constant network");
                if overlap(network, foreign) {
                    return invalid(format!("{network} overlaps {foreign}, which is not for hosts"));
                }
            }
        }
        if self.public_network.prefix_len() > 26 {
            return invalid(format!(
                "public_network {} is too small: the world needs a /26 or larger",
                self.public_network
            ));
        }
        if overlap(self.public_network, self.private_network) {
            return invalid(format!(
                "public_network {} and private_network {} overlap",
                self.public_network, self.private_network
            ));
        }
        Ok(())
    }

    fn validate_hosts(&self) -> Result<()> {
        let addresses = Addresses::of(self.public_network);
        let mut names = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for host in &self.hosts {
            let name = &host.name;
            if !is_label(name, LONGEST_HOST_NAME) || RESERVED.contains(&name.as_str()) {
                return invalid(format!(
                    "host name {name:?} must be 1 to {LONGEST_HOST_NAME} of a-z, 0-9 and -, and none of {}",
                    RESERVED.join(", ")
                ));
            }
            if !names.insert(name) {
                return invalid(format!("two hosts are named {name}"));
            }
            if !is_usable(self.private_network, host.private_address) {
                return invalid(format!(
                    "private_address {} of {name} is not a host address of {}",
                    host.private_address, self.private_network
                ));
            }
            if let Some(public) = host.public_address
                && (!is_usable(self.public_network, public) || addresses.is_worlds(public))
            {
                return invalid(format!(
                    "public_address {public} of {name} is not a free host address of {} (the world has {})",
                    self.public_network,
                    addresses.worlds()
                ));
            }
            for address in host.public_address.into_iter().chain([host.private_address]) {
                if !taken.insert(address) {
                    return invalid(format!("two hosts have the address {address}"));
                }
            }
        }
        let gateways: Vec<_> = self.hosts.iter().filter(|host| host.gateway).collect();
        match gateways.as_slice() {
            [gateway] if gateway.public_address.is_some() => Ok(()),
            [gateway] => invalid(format!("{} is the gateway and has no public_address", gateway.name)),
            _ => invalid(format!("one host must be the gateway, and {} are", gateways.len())),
        }
    }

    /// Name of the ACME authority's host.
    pub(crate) fn acme_name(&self) -> String {
        format!("acme.{}", self.domain)
    }
}

fn invalid(reason: String) -> Result<()> {
    Err(LabError::InvalidSpec { reason })
}

fn is_label(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_usable(network: Ipv4Net, address: Ipv4Addr) -> bool {
    network.contains(&address) && address != network.network() && address != network.broadcast()
}

/// Whether two networks share an address.
pub(crate) fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> LabSpec {
        serde_json::from_str(include_str!("../tests/support/lab.json")).unwrap()
    }

    fn reason(change: impl FnOnce(&mut LabSpec)) -> String {
        let mut spec = spec();
        change(&mut spec);
        spec.validate().unwrap_err().to_string()
    }

    #[test]
    fn the_example_is_valid() {
        spec().validate().unwrap();
    }

    #[test]
    fn names_that_would_not_fit_are_refused() {
        assert!(reason(|spec| spec.name = "thirteenchars".into()).contains("1 to 12"));
        assert!(reason(|spec| spec.name = "Upper".into()).contains("a-z"));
        assert!(reason(|spec| spec.hosts[1].name = "cdn".into()).contains("none of"));
        assert!(reason(|spec| spec.domain = "bastide.localhost".into()).contains(".test"));
        assert!(reason(|spec| spec.names.push("else.test".into())).contains("not in the domain"));
        assert!(reason(|spec| spec.names.push("acme.bastide.test".into())).contains("ACME"));
        assert!(reason(|spec| spec.issuer = Some("id.else.test".into())).contains("not among"));
    }

    #[test]
    fn networks_that_cannot_work_are_refused() {
        assert!(
            reason(|spec| spec.public_network = "198.51.100.0/27".parse().unwrap()).contains("too small")
        );
        assert!(
            reason(|spec| spec.public_network = "198.51.100.1/26".parse().unwrap()).contains("host bits")
        );
        assert!(reason(|spec| spec.private_network = "198.51.100.0/24".parse().unwrap()).contains("overlap"));
        assert!(
            reason(|spec| spec.private_network = "127.0.0.0/24".parse().unwrap()).contains("not for hosts")
        );
    }

    #[test]
    fn hosts_that_collide_are_refused() {
        assert!(
            reason(|spec| spec.hosts[1].private_address = spec.hosts[2].private_address)
                .contains("two hosts")
        );
        assert!(
            reason(|spec| spec.hosts[1].private_address = "10.0.1.1".parse().unwrap())
                .contains("not a host address")
        );
        assert!(
            reason(|spec| spec.hosts[0].public_address = Some("198.51.100.33".parse().unwrap()))
                .contains("the world has")
        );
        assert!(reason(|spec| spec.hosts[0].gateway = false).contains("0 are"));
        assert!(reason(|spec| spec.hosts[1].gateway = true).contains("2 are"));
        assert!(reason(|spec| spec.hosts[0].public_address = None).contains("no public_address"));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let text = include_str!("../tests/support/lab.json").replacen("\"cdn\"", "\"cnd\"", 1);
        assert!(serde_json::from_str::<LabSpec>(&text).is_err());
    }
}
