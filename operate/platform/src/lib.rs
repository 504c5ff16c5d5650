//! The model of a platform: what `platform.toml` describes.
//!
//! [`Platform`] is only ever made by parsing, so whoever holds one holds addresses, roles and names that agree
//! with each other. Everything else in the operating wing reads it and nothing writes it.

mod allowed;
mod app;
mod flow;
mod host;
mod identity;
pub mod init;
mod keys;
mod lint;
mod parse;
mod problem;
mod settings;
mod version;

pub use allowed::Allowed;
pub use app::{AppSettings, ContainerNetwork, Mail, ServiceUrl, SignIn};
pub use flow::{Endpoint, Flow, Port, Transport};
pub use host::{Host, HostName, OperatingSystem, Role, Ssh, Zone};
pub use identity::{
    APP_CLIENT, Algorithm, AuthentikSettings, Broker, Client, Credential, IdentitySettings, Linking,
    LoginProvider, OidcProvider, Pkce, Provider, TokenKeeper,
};
pub use lint::{Finding, Origin, ROWS, Row, Rule, Severity, compatibility_page, lint, rules};
pub use parse::{CLOUDFLARE_RANGES, LETS_ENCRYPT, PGBOUNCER_FLOOR};
pub use problem::{Excerpt, Location, PlatformErrors, Problem};
pub use settings::{
    Acme, BanAction, Cdn, CdnProvider, Challenge, Eviction, Fail2banSettings, LabSettings, Operator,
    Persistence, PgBouncerSettings, PoolMode, PostgresSettings, Settings, SslMode, ValkeyInstance,
    ValkeySettings,
};
pub use version::Version;

use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A whole platform: hosts in zones with roles, the traffic allowed between them, and the components' settings.
#[derive(Debug, Clone)]
pub struct Platform {
    /// Short name, `[a-z][a-z0-9-]*`; names the lab and the operator's state.
    pub name: String,
    /// Public domain; the application answers at it and everything else at names below it.
    pub domain: String,
    /// Network that the hosts share and nobody else can reach.
    pub private_network: Ipv4Net,
    /// Hosts in the order of the file.
    pub hosts: Vec<Host>,
    /// Flows that the file adds to those which the components declare.
    pub extra_flows: Vec<Flow>,
    /// Settings of components.
    pub settings: Settings,
    /// File that the platform was read from; relative paths in it are resolved against its directory.
    pub source: PathBuf,
    /// Where each key of the file stands, by its dotted path.
    locations: BTreeMap<String, Location>,
}

impl Platform {
    /// Hosts that hold `role`, in the order of the file.
    pub fn hosts_with(&self, role: Role) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(move |host| host.has(role))
    }

    /// The host named `name`.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name.as_str() == name)
    }

    /// The edge: the one host with a public address, through which every other is reached.
    ///
    /// A parsed platform has exactly one.
    pub fn edge(&self) -> &Host {
        self.hosts_with(Role::Edge).next().expect("a parsed platform has an edge")
    }

    /// Where people reach the application.
    pub fn url(&self) -> String {
        format!("https://{}", self.domain)
    }

    /// Names at which the application answers: the domain, then what `acme.names` adds. They resolve publicly and need a
    /// certificate, as the issuer's name does, which is not among them.
    pub fn public_names(&self) -> Vec<String> {
        let issuer = self.issuer_domain();
        let further =
            self.settings.acme.names.iter().filter(|name| **name != self.domain && **name != issuer);
        std::iter::once(&self.domain).chain(further).cloned().collect()
    }

    /// Where a path that the file names is: relative ones start at the file's own directory.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.source.parent().unwrap_or(Path::new("")).join(path)
    }

    /// Where the key with this dotted path stands in the file, such as `hosts.edge.address` or `flows.0.port`.
    pub fn location(&self, key: &str) -> Option<Location> {
        self.locations.get(key).copied()
    }
}
