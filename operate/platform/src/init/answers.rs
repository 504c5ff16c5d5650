//! What `init` must know, and how each answer is read.

use crate::keys;
use crate::parse::{is_login, names};
use crate::{CdnProvider, HostName, OperatingSystem, Role};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// An answer that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {expected}")]
pub struct WrongAnswer {
    /// What is wrong with it.
    pub what: String,
    /// How it should look.
    pub expected: String,
}

impl WrongAnswer {
    fn new(what: String, expected: impl Into<String>) -> Self {
        Self { what, expected: expected.into() }
    }
}

/// What a platform file for five real servers says.
#[derive(Debug, Clone)]
pub struct Answers {
    /// Name of the platform.
    pub name: String,
    /// Public domain.
    pub domain: String,
    /// What the servers run.
    pub os: OperatingSystem,
    /// Network that the servers share.
    pub private_network: Ipv4Net,
    /// The edge's address on the internet.
    pub public_address: Ipv4Addr,
    /// The servers' addresses in the private network.
    pub private: Privates,
    /// Who logs in to the servers before Bastide has been there: `root`, or a user with sudo.
    pub login: String,
    /// Where the operator is.
    pub operator_addresses: Vec<Ipv4Net>,
    /// The operator's public keys.
    pub operator_keys: Vec<String>,
    /// What stands in front of the edge.
    pub cdn: CdnAnswer,
    /// Address for the certificate authority's notices.
    pub email: Option<String>,
}

/// What stands in front of the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CdnAnswer {
    /// Nothing.
    None,
    /// Cloudflare.
    Cloudflare {
        /// Authority of the certificate with which it pulls from the origin (PEM file).
        origin_pull_authority: PathBuf,
    },
}

/// The five servers' addresses in the private network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privates {
    /// The edge.
    pub edge: Ipv4Addr,
    /// The application.
    pub app: Ipv4Addr,
    /// PostgreSQL.
    pub db: Ipv4Addr,
    /// Valkey.
    pub cache: Ipv4Addr,
    /// The issuer and monitoring.
    pub identity: Ipv4Addr,
}

impl Privates {
    /// The reference's addresses: the network's tenth, twentieth and so on; none if it has no fiftieth.
    pub fn of(network: Ipv4Net) -> Option<Self> {
        let nth = |by: u32| Ipv4Addr::from(u32::from(network.network()) + by);
        let privates = Self { edge: nth(10), app: nth(20), db: nth(30), cache: nth(40), identity: nth(50) };
        (network.prefix_len() <= 26).then_some(privates)
    }

    /// The address of the host for `role`.
    pub fn get(&self, role: Role) -> Ipv4Addr {
        match role {
            Role::Edge => self.edge,
            Role::App => self.app,
            Role::Db => self.db,
            Role::Cache => self.cache,
            Role::Identity => self.identity,
        }
    }
}

/// The platform's name.
///
/// # Errors
/// When it cannot be one.
pub fn name(text: &str) -> Result<String, WrongAnswer> {
    let name = HostName::parse(text.trim()).map(|name| name.as_str().to_owned());
    name.ok_or_else(|| {
        let what = format!("\"{text}\" cannot be a platform's name");
        WrongAnswer::new(what, "a lower-case letter, then letters, digits and inner hyphens, such as shop")
    })
}

/// The public domain.
///
/// # Errors
/// When it is none.
pub fn domain(text: &str) -> Result<String, WrongAnswer> {
    let text = text.trim().to_lowercase();
    match names::wrong_domain(&text) {
        Some(expected) => {
            Err(WrongAnswer::new(format!("\"{text}\" cannot be a platform's domain"), expected))
        }
        None => Ok(text),
    }
}

/// The servers' operating system.
///
/// # Errors
/// When it is not supported.
pub fn operating_system(text: &str) -> Result<OperatingSystem, WrongAnswer> {
    let text = text.trim().to_lowercase();
    OperatingSystem::ALL.into_iter().find(|os| os.as_str() == text).ok_or_else(|| {
        let all = OperatingSystem::ALL.map(OperatingSystem::as_str).join(", ");
        WrongAnswer::new(format!("\"{text}\" is not supported"), format!("one of {all}"))
    })
}

/// The network that the servers share.
///
/// # Errors
/// When it is no private network, or too small.
pub fn private_network(text: &str) -> Result<Ipv4Net, WrongAnswer> {
    let network = text.trim().parse::<Ipv4Net>().ok().filter(|network| network.trunc() == *network);
    let private = |network: &Ipv4Net| network.network().is_private() && network.broadcast().is_private();
    network.filter(|network| private(network) && network.prefix_len() <= 29).ok_or_else(|| {
        let what = format!("\"{text}\" cannot be the private network");
        WrongAnswer::new(
            what,
            "address/length inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16, such as 10.0.0.0/24",
        )
    })
}

/// A server's address in the private network; `taken` are those of the other servers.
///
/// # Errors
/// When it is outside the network, not a host's, or taken.
pub fn host_address(text: &str, network: Ipv4Net, taken: &[Ipv4Addr]) -> Result<Ipv4Addr, WrongAnswer> {
    let address = ipv4(text)?;
    let expected = format!("another address in {network}");
    if !network.contains(&address) {
        return Err(WrongAnswer::new(format!("{address} is outside the private network"), expected));
    }
    if address == network.network() || address == network.broadcast() {
        return Err(WrongAnswer::new(format!("{address} cannot be a host's"), expected));
    }
    if taken.contains(&address) {
        return Err(WrongAnswer::new(format!("another host has {address}"), expected));
    }
    Ok(address)
}

/// The edge's address on the internet.
///
/// # Errors
/// When the internet cannot reach it.
pub fn public_address(text: &str) -> Result<Ipv4Addr, WrongAnswer> {
    let address = ipv4(text)?;
    if address.is_private() || address.is_loopback() || address.is_link_local() || address.is_unspecified() {
        let what = format!("{address} is not reachable from the internet");
        return Err(WrongAnswer::new(what, "the public address that the provider shows for the edge"));
    }
    Ok(address)
}

fn ipv4(text: &str) -> Result<Ipv4Addr, WrongAnswer> {
    let wrong =
        |_| WrongAnswer::new(format!("\"{text}\" is no IPv4 address"), "four numbers, such as 10.0.0.10");
    text.trim().parse().map_err(wrong)
}

/// Where the operator is: an address or a network.
///
/// # Errors
/// When it is neither.
pub fn operator_network(text: &str) -> Result<Ipv4Net, WrongAnswer> {
    let text = text.trim();
    let address = text.parse::<Ipv4Addr>().ok().map(Ipv4Net::from);
    address.or_else(|| text.parse::<Ipv4Net>().ok().map(|network| network.trunc())).ok_or_else(|| {
        let what = format!("\"{text}\" is no IPv4 address or network");
        WrongAnswer::new(
            what,
            "the address from which you reach the internet, such as 192.0.2.7 or 192.0.2.0/24",
        )
    })
}

/// A public key of the operator's.
///
/// # Errors
/// When it is none.
pub fn public_key(text: &str) -> Result<String, WrongAnswer> {
    keys::public_key(text).map_err(|wrong| {
        let expected = "the line in a file such as ~/.ssh/id_ed25519.pub";
        WrongAnswer::new(format!("this is no public key: {wrong}"), expected)
    })
}

/// Who logs in to the servers.
///
/// # Errors
/// When nobody can have the name.
pub fn login(text: &str) -> Result<String, WrongAnswer> {
    let text = text.trim();
    if is_login(text) {
        return Ok(text.to_owned());
    }
    Err(WrongAnswer::new(
        format!("\"{text}\" cannot log in"),
        "root, or a user who may use sudo without a password",
    ))
}

/// What stands in front of the edge.
///
/// # Errors
/// When it is not supported.
pub fn cdn(text: &str) -> Result<CdnProvider, WrongAnswer> {
    match text.trim().to_lowercase().as_str() {
        "none" | "no" => Ok(CdnProvider::None),
        "cloudflare" => Ok(CdnProvider::Cloudflare),
        other => Err(WrongAnswer::new(format!("\"{other}\" is not supported"), "cloudflare or none")),
    }
}

/// Address for mail.
///
/// # Errors
/// When it is none.
pub fn email(text: &str) -> Result<String, WrongAnswer> {
    let text = text.trim();
    if names::is_email(text) {
        return Ok(text.to_owned());
    }
    Err(WrongAnswer::new(format!("\"{text}\" is no email address"), "such as ops@example.com"))
}
