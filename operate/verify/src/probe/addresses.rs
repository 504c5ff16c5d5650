//! Addresses of interfaces.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Lists the addresses of the interfaces where the probe is made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Addresses {}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InterfaceAddress {
    /// Name of the interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Length of its network's prefix.
    pub prefix: u8,
}

impl InterfaceAddress {
    /// Whether the internet could reach it: neither private, shared, link-local nor loopback.
    ///
    /// Documentation ranges count as public, because they are a lab's internet.
    pub fn is_public(&self) -> bool {
        match self.address {
            IpAddr::V4(v4) => {
                let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
                !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared)
            }
            IpAddr::V6(v6) => {
                !(v6.is_loopback()
                    || v6.is_unicast_link_local()
                    || v6.is_unique_local()
                    || v6.is_unspecified())
            }
        }
    }
}
