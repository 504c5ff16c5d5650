//! Hosts, zones, roles and operating systems.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

/// Name of a host: a single DNS label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostName(String);

impl HostName {
    /// Parses a DNS label: lower-case letters, digits and inner hyphens, at most 63 characters.
    pub fn parse(text: &str) -> Option<Self> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=63).contains(&text.len()) && text.chars().all(inner);
        let edges = text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.ends_with('-');
        (fits && edges).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a host stands from the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Zone {
    /// Outside the platform: people, the CDN.
    Public,
    /// The only zone with a public address.
    Dmz,
    /// Reached through the dmz alone.
    Private,
}

/// What a host is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reverse proxy, bastion and way out.
    Edge,
    /// Runs the application's container.
    App,
    /// PostgreSQL and PgBouncer.
    Db,
    /// Valkey, durable and cache.
    Cache,
    /// The issuer, monitoring and MCP.
    Identity,
}

impl Role {
    /// Every role, in the order in which a platform is built.
    pub const ALL: [Role; 5] = [Role::Edge, Role::Db, Role::Cache, Role::App, Role::Identity];

    /// The role as it is written in `platform.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Edge => "edge",
            Role::App => "app",
            Role::Db => "db",
            Role::Cache => "cache",
            Role::Identity => "identity",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Operating system of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OperatingSystem {
    /// Debian 14, forky.
    #[serde(rename = "debian-14")]
    Debian14,
    /// Debian 13, trixie.
    #[serde(rename = "debian-13")]
    Debian13,
    /// Ubuntu 24.04 LTS, noble.
    #[serde(rename = "ubuntu-24.04")]
    Ubuntu2404,
    /// Ubuntu 26.04 LTS.
    #[serde(rename = "ubuntu-26.04")]
    Ubuntu2604,
}

impl OperatingSystem {
    /// Every supported system.
    pub const ALL: [OperatingSystem; 4] = [
        OperatingSystem::Debian14,
        OperatingSystem::Debian13,
        OperatingSystem::Ubuntu2404,
        OperatingSystem::Ubuntu2604,
    ];

    /// The system as it is written in `platform.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            OperatingSystem::Debian14 => "debian-14",
            OperatingSystem::Debian13 => "debian-13",
            OperatingSystem::Ubuntu2404 => "ubuntu-24.04",
            OperatingSystem::Ubuntu2604 => "ubuntu-26.04",
        }
    }

    /// The archive's suite.
    pub fn codename(self) -> &'static str {
        match self {
            OperatingSystem::Debian14 => "forky",
            OperatingSystem::Debian13 => "trixie",
            OperatingSystem::Ubuntu2404 => "noble",
            OperatingSystem::Ubuntu2604 => "resolute",
        }
    }
}

impl fmt::Display for OperatingSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the operator logs in to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// `root`, or a user who may run anything by `sudo -n`.
    pub user: String,
    /// Port of sshd.
    pub port: u16,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name, unique in the platform.
    pub name: HostName,
    /// Where it stands.
    pub zone: Zone,
    /// What it is for; never empty.
    pub roles: BTreeSet<Role>,
    /// What runs on it.
    pub os: OperatingSystem,
    /// Its address in the private network.
    pub address: Ipv4Addr,
    /// Its address on the internet; the edge alone has one.
    pub public_address: Option<Ipv4Addr>,
    /// Megabytes of memory, from which the servers' buffers are sized.
    pub memory_mb: u32,
    /// How the operator logs in.
    pub ssh: Ssh,
}

impl Host {
    /// Whether the host holds `role`.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}
