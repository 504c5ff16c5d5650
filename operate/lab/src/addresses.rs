//! Who has which address on the lab's internet.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// The world's addresses, at fixed offsets in the public network so that a reader recognises them in every log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// The lab's internet.
    pub(crate) network: Ipv4Net,
    /// This machine: where the operator sits and the router to the real internet.
    pub(crate) operator: Ipv4Addr,
    /// The CDN's own range.
    pub(crate) cdn_range: Ipv4Net,
    /// Where the CDN takes requests for the platform's names.
    pub(crate) cdn: Ipv4Addr,
    /// Where the CDN's requests to the origin come from.
    pub(crate) cdn_egress: Ipv4Addr,
    /// The ACME authority.
    pub(crate) acme: Ipv4Addr,
    /// The login providers.
    pub(crate) providers: Ipv4Addr,
    /// A client.
    pub(crate) client: Ipv4Addr,
    /// Another client.
    pub(crate) client2: Ipv4Addr,
}

impl Addresses {
    /// The addresses in `network`, which has at least 64.
    pub(crate) fn of(network: Ipv4Net) -> Self {
        let at = |offset: u32| Ipv4Addr::from(u32::from(network.network()) + offset);
        Self {
            network,
            operator: at(1),
            cdn_range: Ipv4Net::new(at(32), 29).expect("29 is a prefix length"),
            cdn: at(33),
            cdn_egress: at(34),
            acme: at(41),
            providers: at(42),
            client: at(50),
            client2: at(51),
        }
    }

    /// Whether `address` belongs to the world and so not to a host.
    pub(crate) fn is_worlds(&self, address: Ipv4Addr) -> bool {
        self.cdn_range.contains(&address)
            || [self.operator, self.acme, self.providers, self.client, self.client2].contains(&address)
    }

    /// The world's addresses, for an error message.
    pub(crate) fn worlds(&self) -> String {
        let Self { operator, cdn_range, acme, providers, client, client2, .. } = self;
        format!("{operator}, {cdn_range}, {acme}, {providers}, {client} and {client2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cdn_has_a_range_of_its_own() {
        let addresses = Addresses::of("198.51.100.64/26".parse().unwrap());
        assert_eq!(addresses.operator.to_string(), "198.51.100.65");
        assert_eq!(addresses.cdn_range.to_string(), "198.51.100.96/29");
        assert!(addresses.cdn_range.contains(&addresses.cdn));
        assert!(addresses.cdn_range.contains(&addresses.cdn_egress));
        assert!(!addresses.cdn_range.contains(&addresses.client));
        assert!(addresses.is_worlds(addresses.acme));
        assert!(!addresses.is_worlds("198.51.100.74".parse().unwrap()));
    }
}
