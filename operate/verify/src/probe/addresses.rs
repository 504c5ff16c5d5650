//! Addresses of interfaces.

use crate::place::ProbeError;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
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

impl Addresses {
    pub(super) fn execute(self) -> Result<Vec<InterfaceAddress>, ProbeError> {
        let interfaces =
            getifaddrs().map_err(|error| ProbeError::broken("reading the interfaces' addresses", error))?;
        let mut addresses: Vec<InterfaceAddress> = interfaces
            .filter_map(|interface| {
                Some(InterfaceAddress {
                    address: ip(interface.address.as_ref()?)?,
                    prefix: interface.netmask.as_ref().and_then(ip).map_or(0, prefix),
                    interface: interface.interface_name,
                })
            })
            .collect();
        addresses.sort();
        addresses.dedup();
        Ok(addresses)
    }
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

fn prefix(mask: IpAddr) -> u8 {
    match mask {
        IpAddr::V4(v4) => v4.to_bits().count_ones() as u8,
        IpAddr::V6(v6) => v6.to_bits().count_ones() as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed_and_not_public() {
        let addresses = Addresses {}.execute().unwrap();
        let loopback = addresses.iter().find(|a| a.address == IpAddr::from([127, 0, 0, 1])).unwrap();
        assert_eq!((loopback.interface.as_str(), loopback.prefix), ("lo", 8));
        assert!(!loopback.is_public());
    }

    #[test]
    fn public_means_that_the_internet_could_reach_it() {
        let public = |text: &str| {
            let address = text.parse().unwrap();
            InterfaceAddress { interface: "eth0".to_owned(), address, prefix: 24 }.is_public()
        };
        for address in ["198.51.100.7", "8.8.8.8", "2a01:4f8::1"] {
            assert!(public(address), "{address}");
        }
        for address in
            ["10.0.0.11", "172.17.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "fe80::1", "fd00::1"]
        {
            assert!(!public(address), "{address}");
        }
    }
}
