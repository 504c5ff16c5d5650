//! Components: what Bastide knows of each piece of software, one file a piece.
//!
//! A component says what it puts on a host, who may reach it, and what must be true of it. Adding one is adding a
//! file and a line in [`all`].

mod context;
mod secrets;

pub use context::{AppImage, Context};
pub use secrets::{Secret, Secrets, SecretsError};

use bastide_converge::resource::Resource;
use bastide_platform::{Flow, Host, Platform};
use bastide_verify::Check;

/// The reference's build sequence: each step is verified before the next is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Hardened hosts, private network, nothing exposed beyond the edge.
    Hosts,
    /// PostgreSQL and PgBouncer.
    Database,
    /// Valkey, twice.
    Cache,
    /// The application, and Caddy in front of it.
    Application,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Step; 4] = [Step::Hosts, Step::Database, Step::Cache, Step::Application];

    /// What the step delivers, for headings.
    pub fn title(self) -> &'static str {
        match self {
            Step::Hosts => "hardened hosts, private network, way in and way out",
            Step::Database => "PostgreSQL behind PgBouncer",
            Step::Cache => "Valkey, durable and cache",
            Step::Application => "the application behind Caddy",
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

/// One piece of software, or one aspect of a host.
pub trait Component: Sync {
    /// Its name, as it stands in plans, checks and the docs.
    fn name(&self) -> &'static str;

    /// The step of the build sequence that it belongs to.
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
    vec![]
}

/// All traffic that a platform allows: what its components need and what its file adds.
pub fn flows(platform: &Platform) -> Vec<Flow> {
    let mut flows: Vec<Flow> = all().iter().flat_map(|component| component.flows(platform)).collect();
    flows.extend(platform.extra_flows.iter().cloned());
    flows
}

/// What a host gets, in order, up to and including `last`.
pub fn resources(context: &Context<'_>, host: &Host, last: Step) -> Result<Vec<Resource>, ComponentError> {
    let mut resources = Vec::new();
    for component in all().into_iter().filter(|c| c.step() <= last && c.placed_on(host)) {
        resources.extend(component.resources(context, host)?);
    }
    Ok(resources)
}
