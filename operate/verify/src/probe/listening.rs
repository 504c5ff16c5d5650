//! Sockets that accept traffic.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Lists the sockets that accept traffic where the probe is made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listening {}

/// Transport protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A socket that accepts traffic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Socket {
    /// Its protocol.
    pub transport: Transport,
    /// Address that it is bound to; unspecified means every address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Name of the process that holds it, where the prober may know.
    pub process: Option<String>,
}

impl Socket {
    /// Whether nobody beyond the host itself can reach it.
    pub fn is_local(&self) -> bool {
        self.address.is_loopback()
    }
}
