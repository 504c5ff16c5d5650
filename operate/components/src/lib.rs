//! Components: what Bastide knows of each piece of software, one file a piece.
//!
//! A component says what it puts on a host, who may reach it, and what must be true of it. Adding one is adding a
//! file and a line in [`all`].

mod app;
pub mod authentik;
mod authority;
mod base;
mod bastion;
mod caddy;
mod clock;
mod cloudflare;
mod context;
mod docker;
mod egress;
mod fail2ban;
mod firewall;
#[cfg(test)]
mod fixture;
pub mod identity;
pub mod image;
mod openpgp;
mod paths;
mod pgbouncer;
mod postgres;
mod probing;
mod scram;
mod secrets;
mod source;
mod sshd;
mod trust;
mod upgrades;
mod valkey;

pub use authority::{Authority, LEAF_LIFETIME, Leaf, Wanted};
pub use context::{AppImage, Context, Program};
pub use openpgp::KeyError;
pub use secrets::{Secret, Secrets, SecretsError};
pub use source::{Floor, Software, Source, SourceError, floor, postgres_version, source};

use bastide_converge::resource::Resource;
use bastide_platform::{Flow, Host, Platform, Role};
use bastide_verify::Check;

/// The reference's build sequence: each step is verified before the next is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The edge, hardened: the way in to the other hosts, and their way out.
    Edge,
    /// Every other host, hardened, with nothing exposed beyond the edge.
    Hosts,
    /// PostgreSQL and PgBouncer.
    Database,
    /// Valkey, twice.
    Cache,
    /// The application and the issuer, and Caddy in front of them.
    Application,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Step; 5] = [Step::Edge, Step::Hosts, Step::Database, Step::Cache, Step::Application];

    /// What the step delivers, for headings.
    pub fn title(self) -> &'static str {
        match self {
            Step::Edge => "the edge: the way in, and the way out of the private network",
            Step::Hosts => "hardened hosts in a private network",
            Step::Database => "PostgreSQL behind PgBouncer",
            Step::Cache => "Valkey, durable and cache",
            Step::Application => "the application and the issuer behind Caddy",
        }
    }
}

/// A component could not say what it needs.
#[derive(Debug, thiserror::Error)]
#[error("{component} on {host}: {reason}")]
pub struct ComponentError {
    /// The component.
    pub component: &'static str,
    /// The host.
    pub host: String,
    /// Why, and what to do.
    pub reason: String,
}

impl ComponentError {
    /// `component` could not say what it needs on `host`.
    pub fn new(component: &'static str, host: &Host, reason: impl std::fmt::Display) -> Self {
        Self { component, host: host.name.to_string(), reason: reason.to_string() }
    }
}

/// One piece of software, or one aspect of a host.
pub trait Component: Sync {
    /// Its name, as it stands in plans, checks and the docs.
    fn name(&self) -> &'static str;

    /// The step of the build sequence that it belongs to.
    ///
    /// What belongs to [`Step::Hosts`] is put on the edge a step earlier: a private host reaches its packages
    /// through the edge.
    fn step(&self) -> Step;

    /// Whether `host` gets it.
    fn placed_on(&self, host: &Host) -> bool;

    /// Who may reach it.
    fn flows(&self, _platform: &Platform) -> Vec<Flow> {
        Vec::new()
    }

    /// What it puts on `host`, in the order in which it is applied.
    fn resources(&self, context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError>;

    /// What must be true of it.
    fn checks(&self, _context: &Context<'_>) -> Vec<Check> {
        Vec::new()
    }
}

/// Every component, in the order in which a host gets them.
pub fn all() -> Vec<&'static dyn Component> {
    vec![
        // A private host reaches its packages only once it has its way out.
        &egress::Egress,
        &base::Base,
        &clock::Clock,
        &upgrades::Upgrades,
        &trust::Trust,
        &bastion::Bastion,
        &sshd::Sshd,
        &firewall::Firewall,
        &postgres::Postgres,
        &pgbouncer::PgBouncer,
        &valkey::Valkey,
        &docker::Docker,
        &identity::Identity,
        &authentik::Authentik,
        &app::App,
        &cloudflare::Cloudflare,
        &caddy::Caddy,
        &fail2ban::Fail2ban,
    ]
}

/// All traffic that a platform allows: what its components need and what its file adds.
pub fn flows(platform: &Platform) -> Vec<Flow> {
    let mut flows: Vec<Flow> = all().iter().flat_map(|component| component.flows(platform)).collect();
    flows.extend(platform.extra_flows.iter().cloned());
    flows
}

/// Names of the passwords and keys that the operator's secrets hold for this platform, sorted.
pub fn secret_names(platform: &Platform) -> Vec<String> {
    let mut names = app::environment::secret_names();
    names.extend(postgres::secret_names());
    names.extend(valkey::secret_names());
    names.extend(identity::secret_names(platform));
    names.extend(authentik::secret_names(platform));
    names.sort();
    names
}

/// What a host gets, in order, up to and including `last`.
///
/// # Errors
/// When a component cannot say what it needs there.
pub fn resources(context: &Context<'_>, host: &Host, last: Step) -> Result<Vec<Resource>, ComponentError> {
    let mut resources = Vec::new();
    for component in all().into_iter().filter(|c| c.placed_on(host) && reached(*c, host) <= last) {
        resources.extend(component.resources(context, host)?);
    }
    Ok(resources)
}

/// The checks that must pass once `step` is done and before the next one begins.
pub fn checks(context: &Context<'_>, step: Step) -> Vec<Check> {
    let edge = context.platform.edge().name.as_str();
    let of_the_edge = |check: &Check| check.host.as_deref() == Some(edge);
    let components = all().into_iter();
    match step {
        Step::Edge => components
            .filter(|component| component.step() == Step::Hosts)
            .flat_map(|component| component.checks(context))
            .filter(of_the_edge)
            .collect(),
        Step::Hosts => components
            .filter(|component| component.step() == Step::Hosts)
            .flat_map(|component| component.checks(context))
            .filter(|check| !of_the_edge(check))
            .collect(),
        _ => components
            .filter(|component| component.step() == step)
            .flat_map(|component| component.checks(context))
            .collect(),
    }
}

/// The step in which `host` gets `component`.
fn reached(component: &dyn Component, host: &Host) -> Step {
    match component.step() {
        Step::Hosts if host.has(Role::Edge) => Step::Edge,
        step => step,
    }
}
