//! Flows: the only traffic there is.

use crate::host::Role;
use ipnet::Ipv4Net;
use std::fmt;

/// Transport protocol of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// The protocol's name as firewalls write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        }
    }
}

/// A port at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Its protocol.
    pub transport: Transport,
}

impl Port {
    /// A TCP port.
    pub const fn tcp(number: u16) -> Self {
        Self { number, transport: Transport::Tcp }
    }

    /// A UDP port.
    pub const fn udp(number: u16) -> Self {
        Self { number, transport: Transport::Udp }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.transport.as_str())
    }
}

/// One end of a flow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// Anyone on the internet.
    Internet,
    /// The CDN's published ranges.
    Cdn,
    /// The operator's addresses.
    Operator,
    /// Every host that holds a role.
    Role(Role),
    /// Every host.
    AnyHost,
    /// Addresses that the platform file names.
    Network(Ipv4Net),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Internet => f.write_str("internet"),
            Endpoint::Cdn => f.write_str("cdn"),
            Endpoint::Operator => f.write_str("operator"),
            Endpoint::Role(role) => write!(f, "{role}"),
            Endpoint::AnyHost => f.write_str("every host"),
            Endpoint::Network(network) => write!(f, "{network}"),
        }
    }
}

/// Source → destination : port. Firewall rules and the reachability check both come from flows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// Who may open the connection.
    pub from: Endpoint,
    /// Who accepts it; a role or every host.
    pub to: Endpoint,
    /// The port at the destination.
    pub port: Port,
    /// What it is for, in a few words.
    pub purpose: String,
}

impl Flow {
    /// A flow for `purpose`.
    pub fn new(from: Endpoint, to: Endpoint, port: Port, purpose: &str) -> Self {
        Self { from, to, port, purpose: purpose.to_owned() }
    }
}
