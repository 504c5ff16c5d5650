//! Which addresses a webhook may go to: those of the public Internet. Everything that is special is refused, because
//! an address that a customer names must never reach what only this server can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What IANA lists as special for IPv4: first address and prefix length.
const SPECIAL_4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),       // this network
    ([10, 0, 0, 0], 8),      // private
    ([100, 64, 0, 0], 10),   // carrier-grade NAT
    ([127, 0, 0, 0], 8),     // loopback
    ([169, 254, 0, 0], 16),  // link-local, metadata of clouds
    ([172, 16, 0, 0], 12),   // private
    ([192, 0, 0, 0], 24),    // protocol assignments, metadata of some clouds
    ([192, 0, 2, 0], 24),    // documentation
    ([192, 31, 196, 0], 24), // AS112
    ([192, 52, 193, 0], 24), // AMT
    ([192, 88, 99, 0], 24),  // 6to4 relays
    ([192, 168, 0, 0], 16),  // private
    ([192, 175, 48, 0], 24), // AS112
    ([198, 18, 0, 0], 15),   // benchmarks
    ([198, 51, 100, 0], 24), // documentation
    ([203, 0, 113, 0], 24),  // documentation
];

/// From here on: multicast, reserved, broadcast.
const SPECIAL_4_FROM: u8 = 224;
/// Metadata of a cloud that uses a public address for it.
const METADATA: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// What may be reached, beyond the public Internet: networks of a test or a lab.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    networks: Vec<IpNet>,
}

impl Allowed {
    /// These as well.
    #[must_use]
    pub fn also(networks: Vec<IpNet>) -> Self {
        Self { networks }
    }

    /// Whether a webhook may go to this address.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.networks.iter().any(|network| network.contains(&address))
    }
}

/// Whether an address is one of the public Internet. One that carries an IPv4 address inside is refused whatever that
/// is: no server of the Internet needs to be reached that way.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_4(address),
        IpAddr::V6(address) => is_public_6(address),
    }
}

fn is_public_4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    let special =
        SPECIAL_4.iter().any(|(first, length)| (bits ^ u32::from_be_bytes(*first)) >> (32 - length) == 0);
    !special && address.octets()[0] < SPECIAL_4_FROM && address != METADATA
}

fn is_public_6(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    // Global unicast is 2000::/3; loopback, mapped, NAT64, unique local, link-local and multicast are outside it.
    let global = first & 0xe000 == 0x2000;
    // Protocol assignments with Teredo and ORCHID, 6to4, documentation twice, AS112.
    let special = (first == 0x2001 && second < 0x0200)
        || first == 0x2002
        || (first == 0x2001 && second == 0x0db8)
        || (first == 0x3fff && second < 0x1000)
        || (first, second, third) == (0x2620, 0x004f, 0x8000);
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_special_is_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "2620:4f:8000::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn the_public_is_permitted() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_test_may_allow_its_own_network_and_no_more() {
        let allowed = Allowed::also(vec!["127.0.0.1/32".parse().unwrap()]);
        assert!(allowed.permits("127.0.0.1".parse().unwrap()));
        assert!(!allowed.permits("127.0.0.2".parse().unwrap()));
        assert!(!Allowed::default().permits("127.0.0.1".parse().unwrap()));
    }
}
