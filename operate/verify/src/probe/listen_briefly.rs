//! Temporary listeners, which prove a path whose service is not running at present.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Listens on TCP ports, accepts whoever comes, says nothing and hangs up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListenBriefly {
    /// Address to listen at.
    pub address: IpAddr,
    /// Each port, and the visitors awaited there: listening ends as soon as all have come.
    pub ports: Vec<(u16, Vec<IpAddr>)>,
    /// Milliseconds after which listening ends in any case.
    pub lease_ms: u64,
}

/// Who came while we listened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visits {
    /// Port and address of each visitor, once.
    pub visitors: Vec<(u16, IpAddr)>,
    /// Ports that could not be listened on, and why.
    pub taken: Vec<(u16, String)>,
}
