//! A scan of many TCP ports of one address.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Attempts a connection to every TCP port of a range.
///
/// Ports that say nothing are attempted a second time, so that a lost packet cannot hide an open port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scan {
    /// The address.
    pub address: IpAddr,
    /// First port.
    pub from: u16,
    /// Last port.
    pub to: u16,
    /// Milliseconds that each attempt waits.
    pub timeout_ms: u64,
    /// Connections attempted at the same time.
    pub concurrency: usize,
}

impl Scan {
    /// Every TCP port of `address`.
    pub fn all(address: IpAddr) -> Self {
        Self { address, from: 1, to: u16::MAX, timeout_ms: 500, concurrency: 16_384 }
    }
}

/// The ports of a range by what they did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanned {
    /// Ports that accepted.
    pub open: Vec<u16>,
    /// How many ports answered with a reset.
    pub refused: u32,
    /// The first few of them.
    pub refused_ports: Vec<u16>,
    /// How many ports said nothing, twice.
    pub dropped: u32,
    /// How many the network could not reach, and what it said of the first.
    pub unreachable: u32,
    /// What the network said of the first unreachable one.
    pub unreachable_reason: Option<String>,
    /// Milliseconds that the scan took.
    pub milliseconds: u64,
}
