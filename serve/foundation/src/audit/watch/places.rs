//! From where tokens are used: what this process has seen, and what it has to tell.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::Origin;

/// More places are not remembered at once; what is forgotten is asked for again.
const MOST_KNOWN: usize = 20_000;
/// Uses that wait to be written.
const MOST_UNWRITTEN: usize = 1_000;

/// A token that is used from a place that this process has not seen.
#[derive(Debug, Clone)]
pub(super) struct Use {
    pub(super) organization: Uuid,
    pub(super) token_id: Uuid,
    pub(super) place: IpNet,
    pub(super) origin: Origin,
    pub(super) at: OffsetDateTime,
}

/// Places of tokens.
#[derive(Debug, Default)]
pub(super) struct Places {
    known: HashSet<(Uuid, IpNet)>,
    unwritten: Vec<Use>,
}

impl Places {
    pub(super) fn is_new(&self, token_id: Uuid, place: IpNet) -> bool {
        !self.known.contains(&(token_id, place))
    }

    /// Takes a use in; false if there is no room for it now.
    pub(super) fn note(&mut self, used: Use) -> bool {
        if self.unwritten.len() >= MOST_UNWRITTEN {
            return false;
        }
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert((used.token_id, used.place));
        self.unwritten.push(used);
        true
    }

    pub(super) fn take(&mut self) -> Vec<Use> {
        std::mem::take(&mut self.unwritten)
    }

    /// Forgets uses that could not be written: they are noted again when the token is used again.
    pub(super) fn give_back(&mut self, uses: &[Use]) {
        for used in uses {
            self.known.remove(&(used.token_id, used.place));
        }
    }
}

/// The place that an address is in: of IPv6 the network of 64 bits, which is one customer's.
pub(super) fn of(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Net::from(address).into(),
        IpAddr::V6(address) => {
            let network = Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
            Ipv6Net::new_assert(network, 64).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_place() {
        let place = |text: &str| of(text.parse().unwrap()).to_string();
        assert_eq!(place("192.0.2.1"), "192.0.2.1/32");
        assert_eq!(place("::ffff:192.0.2.1"), "192.0.2.1/32");
        assert_eq!(place("2001:db8::1:2:3:4"), "2001:db8::/64");
    }
}
