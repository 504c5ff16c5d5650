//! The model of a platform: what `platform.toml` describes.
//!
//! [`Platform`] is only ever made by parsing, so whoever holds one holds addresses, roles and names that agree
//! with each other. Everything else in the operating wing reads it and nothing writes it.

mod flow;
mod host;
mod settings;

pub use flow::{Endpoint, Flow, Port, Transport};
pub use host::{Host, HostName, OperatingSystem, Role, Ssh, Zone};
pub use settings::{
    Acme, AppSettings, Cdn, CdnProvider, Challenge, Eviction, LabSettings, Operator, PgBouncerSettings,
    PostgresSettings, Settings, ValkeyInstance, ValkeySettings,
};

use ipnet::Ipv4Net;
use std::path::PathBuf;

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

    /// Names that resolve publicly and need a certificate.
    pub fn public_names(&self) -> Vec<String> {
        vec![self.domain.clone()]
    }
}
