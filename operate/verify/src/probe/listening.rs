//! Sockets that accept traffic.

use crate::place::ProbeError;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

impl Listening {
    pub(super) fn execute(self) -> Result<Vec<Socket>, ProbeError> {
        let owners = owners();
        let mut sockets = Vec::new();
        for (table, transport) in [
            ("/proc/net/tcp", Transport::Tcp),
            ("/proc/net/tcp6", Transport::Tcp),
            ("/proc/net/udp", Transport::Udp),
            ("/proc/net/udp6", Transport::Udp),
        ] {
            match fs::read_to_string(table) {
                Ok(text) => sockets.extend(parse(&text, transport, &owners)),
                // A kernel without IPv6 has no such table.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && table.ends_with('6') => {}
                Err(error) => return Err(ProbeError::broken(format_args!("reading {table}"), error)),
            }
        }
        sockets.sort();
        sockets.dedup();
        Ok(sockets)
    }
}

/// Sockets of one of the kernel's tables that accept traffic from anyone.
fn parse(table: &str, transport: Transport, owners: &HashMap<String, String>) -> Vec<Socket> {
    // LISTEN for TCP; for UDP a socket that is not connected to one peer.
    let accepting = match transport {
        Transport::Tcp => "0A",
        Transport::Udp => "07",
    };
    let socket = |line: &str| {
        let mut fields = line.split_whitespace();
        let (address, port) = fields.nth(1)?.split_once(':')?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        (state == accepting).then_some(())?;
        Some(Socket {
            transport,
            address: parse_address(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
            process: owners.get(inode).cloned(),
        })
    };
    table.lines().skip(1).filter_map(socket).collect()
}

/// The kernel prints addresses as 32-bit words in the order of the machine.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut octets = [0; 16];
            for n in 0..4 {
                octets[n * 4..n * 4 + 4].copy_from_slice(&word(n * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical())
        }
        _ => None,
    }
}

/// Names of the processes that hold sockets, by inode; processes that we may not look into are left out.
fn owners() -> HashMap<String, String> {
    let mut owners = HashMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = process.path();
        if !process.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let Ok(name) = fs::read_to_string(path.join("comm")) else { continue };
        for descriptor in fs::read_dir(path.join("fd")).into_iter().flatten().flatten() {
            let Ok(link) = fs::read_link(descriptor.path()) else { continue };
            let link = link.to_string_lossy();
            if let Some(inode) = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
                owners.insert(inode.to_owned(), name.trim_end().to_owned());
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_sockets_are_listed_with_their_process_until_they_close() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("[::1]:0").unwrap();
        let (tcp_at, udp_at) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
        let find = |transport, at: std::net::SocketAddr| {
            let sockets = Listening {}.execute().unwrap();
            sockets.into_iter().find(|s| (s.transport, s.address, s.port) == (transport, at.ip(), at.port()))
        };
        let found = find(Transport::Tcp, tcp_at).unwrap();
        assert!(found.is_local());
        assert!(found.process.is_some());
        assert!(find(Transport::Udp, udp_at).is_some());
        drop(tcp);
        assert!(find(Transport::Tcp, tcp_at).is_none());
    }

    #[test]
    fn established_connections_are_no_listeners() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1 0 100 0 0 10 0\n   \
            1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 43 1 0 100 0 0 10 0\n";
        let owners = HashMap::from([("42".to_owned(), "caddy".to_owned())]);
        let sockets = parse(table, Transport::Tcp, &owners);
        assert_eq!(sockets.len(), 1);
        assert_eq!((sockets[0].port, sockets[0].process.as_deref()), (8080, Some("caddy")));
        assert_eq!(sockets[0].address, IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
