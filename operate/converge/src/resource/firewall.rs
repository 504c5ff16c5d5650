//! The firewall: ufw's complete rule set, and the kernel's live one.

use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// The whole firewall of a host: everything in is denied but `incoming`, everything through is denied but `forward`.
///
/// Observed twice: in ufw's files and in the kernel, so that a rule added by hand is found wherever it was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// What may come in.
    pub incoming: Vec<FirewallRule>,
    /// What may pass through (the edge's egress).
    pub forward: Vec<ForwardRule>,
    /// What is masqueraded on its way out.
    pub masquerade: Option<Masquerade>,
}

/// Something that may come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// Source network in CIDR notation; `0.0.0.0/0` for anyone.
    pub from: String,
    /// Port at this host.
    pub port: u16,
    /// `tcp` or `udp`.
    pub transport: String,
    /// What it is for; shown by `ufw status`.
    pub comment: String,
}

/// Something that may pass through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardRule {
    /// Source network in CIDR notation.
    pub from: String,
    /// Destination network in CIDR notation.
    pub to: String,
    /// Destination ports of TCP; `None` for any protocol.
    pub ports: Option<Vec<(u16, String)>>,
    /// What it is for.
    pub comment: String,
}

/// Source network whose packets leave with the host's public address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masquerade {
    /// Source network in CIDR notation.
    pub from: String,
    /// The host's public address; packets leave through the interface that holds it.
    pub public_address: String,
}

impl Manage for Firewall {
    fn id(&self) -> ResourceId {
        ResourceId::new("firewall", "ufw")
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}
