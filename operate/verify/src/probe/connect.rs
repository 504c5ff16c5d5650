//! TCP connections, opened and closed again.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Opens a TCP connection to each target, and closes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connect {
    /// Address and port of each target.
    pub targets: Vec<(IpAddr, u16)>,
    /// Milliseconds after which a target that says nothing counts as dropped.
    pub timeout_ms: u64,
    /// Connections attempted at the same time.
    pub concurrency: usize,
    /// Milliseconds during which a target that refuses is tried again: for a listener that is about to start.
    pub patience_ms: u64,
}

impl Connect {
    /// Tries each target once, all of them together.
    ///
    /// The timeout leaves room for the first SYN to be lost: the kernel sends the second after one second.
    pub fn to(targets: Vec<(IpAddr, u16)>) -> Self {
        Self { targets, timeout_ms: 1_600, concurrency: 512, patience_ms: 0 }
    }
}

/// What a connection attempt came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Somebody accepted.
    Open,
    /// The target answered with a reset: the packet arrived, and nobody listens.
    Refused,
    /// Nothing came back.
    Dropped,
    /// The network said that there is no way there.
    Unreachable(String),
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Open => f.write_str("open"),
            Reach::Refused => f.write_str("refused"),
            Reach::Dropped => f.write_str("dropped"),
            Reach::Unreachable(reason) => write!(f, "unreachable ({reason})"),
        }
    }
}
