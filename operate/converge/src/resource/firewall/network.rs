//! Networks, in the two ways of writing that ufw and the kernel have.

use super::kernel::Family;
use crate::resource::ResourceError;
use ipnet::IpNet;
use std::net::IpAddr;

/// A network without host bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Network(IpNet);

impl Network {
    /// Reads CIDR notation or a single address.
    pub(super) fn parse(text: &str) -> Result<Self, ResourceError> {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(|net| Self(net.trunc()))
            .map_err(|_| {
                ResourceError::Other(format!("firewall rule: `{text}` is not a network such as 10.0.0.0/24"))
            })
    }

    /// Every address of a family.
    pub(super) fn anywhere(family: Family) -> Self {
        match family {
            Family::V4 => Self(IpNet::V4(ipnet::Ipv4Net::default())),
            Family::V6 => Self(IpNet::V6(ipnet::Ipv6Net::default())),
        }
    }

    pub(super) fn family(&self) -> Family {
        match self.0 {
            IpNet::V4(_) => Family::V4,
            IpNet::V6(_) => Family::V6,
        }
    }

    pub(super) fn is_anywhere(&self) -> bool {
        self.0.prefix_len() == 0
    }

    /// As the kernel's rules show it, always with the prefix.
    pub(super) fn kernel(&self) -> String {
        self.0.to_string()
    }

    /// As ufw writes it: a single address without its prefix.
    pub(super) fn ufw(&self) -> String {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().to_string()
        } else {
            self.0.to_string()
        }
    }
}
