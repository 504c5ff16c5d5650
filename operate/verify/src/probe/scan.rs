//! A scan of many TCP ports of one address.

use super::connect::{Reach, answer_of, descriptors};
use crate::place::ProbeError;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Attempts a connection to every TCP port of a range.
///
/// Ports that say nothing are attempted a second time, so that a lost packet cannot hide an open port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scan {
    /// The address.
    pub address: IpAddr,
    /// First port.
    pub from: u16,
    /// Last port.
    pub to: u16,
    /// Milliseconds that each attempt waits.
    pub timeout_ms: u64,
    /// Connections attempted at the same time.
    pub concurrency: usize,
}

impl Scan {
    /// Every TCP port of `address`.
    pub fn all(address: IpAddr) -> Self {
        Self { address, from: 1, to: u16::MAX, timeout_ms: 400, concurrency: 22_000 }
    }
}

/// The ports of a range by what they did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanned {
    /// Ports that accepted.
    pub open: Vec<u16>,
    /// How many ports answered with a reset.
    pub refused: u32,
    /// The first few of them.
    pub refused_ports: Vec<u16>,
    /// How many ports said nothing, twice.
    pub dropped: u32,
    /// How many the network could not reach, and what it said of the first.
    pub unreachable: u32,
    /// What the network said of the first unreachable one.
    pub unreachable_reason: Option<String>,
    /// Milliseconds that the scan took.
    pub milliseconds: u64,
}

impl Scan {
    pub(super) async fn execute(self) -> Result<Scanned, ProbeError> {
        let scanning = tokio::task::spawn_blocking(move || self.scan());
        scanning.await.map_err(|error| ProbeError::broken("scanning ports", error))?
    }

    fn scan(&self) -> Result<Scanned, ProbeError> {
        let began = Instant::now();
        let mut scanned = Scanned::default();
        let silent = self.pass((self.from..=self.to).collect(), &mut scanned)?;
        let silent = self.pass(silent, &mut scanned)?;
        scanned.dropped = silent.len() as u32;
        scanned.open.sort_unstable();
        scanned.refused_ports.sort_unstable();
        scanned.milliseconds = began.elapsed().as_millis() as u64;
        Ok(scanned)
    }

    /// Attempts each port once, a wave at a time, and returns those that said nothing.
    fn pass(&self, ports: Vec<u16>, scanned: &mut Scanned) -> Result<Vec<u16>, ProbeError> {
        let most = descriptors(self.concurrency.clamp(1, ports.len().max(1)))?;
        let mut silent = Vec::new();
        for wave in ports.chunks(most) {
            for (port, reach) in self.wave(wave)? {
                match reach {
                    Reach::Dropped => silent.push(port),
                    other => scanned.record(port, other),
                }
            }
        }
        Ok(silent)
    }

    /// Sends a SYN to every port, waits once for all of them, and looks what became of each: no reactor and no timer
    /// a socket, which would cost more than the connection.
    fn wave(&self, ports: &[u16]) -> Result<Vec<(u16, Reach)>, ProbeError> {
        let begun: Result<Vec<_>, _> =
            ports.iter().map(|&port| self.begin(port).map(|begun| (port, begun))).collect();
        let begun = begun?;
        std::thread::sleep(Duration::from_millis(self.timeout_ms));
        begun
            .into_iter()
            .map(|(port, begun)| {
                let reach = match begun {
                    Begun::Ended(reach) => reach,
                    Begun::Waiting(socket) => self.look(port, &socket)?,
                };
                Ok((port, reach))
            })
            .collect()
    }

    fn begin(&self, port: u16) -> Result<Begun, ProbeError> {
        let target = SocketAddr::new(self.address, port);
        let failed = |error| ProbeError::broken(format_args!("connecting to {target}"), error);
        let socket =
            Socket::new(Domain::for_address(target), Type::STREAM.nonblocking(), None).map_err(failed)?;
        match socket.connect(&target.into()) {
            Ok(()) => Ok(Begun::Ended(Reach::Open)),
            Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {
                Ok(Begun::Waiting(socket))
            }
            Err(error) => answer_of(target, error).map(Begun::Ended),
        }
    }

    fn look(&self, port: u16, socket: &Socket) -> Result<Reach, ProbeError> {
        let target = SocketAddr::new(self.address, port);
        match (socket.take_error(), socket.peer_addr()) {
            (Ok(Some(error)) | Err(error), _) => answer_of(target, error),
            (Ok(None), Ok(_)) => Ok(Reach::Open),
            (Ok(None), Err(_)) => Ok(Reach::Dropped),
        }
    }
}

/// A connection that was begun without waiting.
enum Begun {
    Waiting(Socket),
    Ended(Reach),
}

impl Scanned {
    /// How many refused ports are named.
    const NAMED: usize = 32;

    fn record(&mut self, port: u16, reach: Reach) {
        match reach {
            Reach::Open => self.open.push(port),
            Reach::Refused => {
                self.refused += 1;
                if self.refused_ports.len() < Self::NAMED {
                    self.refused_ports.push(port);
                }
            }
            Reach::Dropped => self.dropped += 1,
            Reach::Unreachable(reason) => {
                self.unreachable += 1;
                self.unreachable_reason.get_or_insert(reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[tokio::test]
    async fn a_scan_of_every_port_finds_exactly_the_listeners() {
        // An address of its own, so that other tests' listeners are not found.
        let address = IpAddr::V4(Ipv4Addr::new(127, 77, 0, 1));
        let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind((address, 0)).unwrap()).collect();
        let mut expected: Vec<u16> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
        expected.sort_unstable();
        let scanned = Scan::all(address).execute().await.unwrap();
        let ours: Vec<u16> = scanned.open.iter().copied().filter(|port| expected.contains(port)).collect();
        assert_eq!(ours, expected);
        assert_eq!(scanned.open.len() as u32 + scanned.refused + scanned.dropped, 65_535);
        assert_eq!(scanned.refused_ports.len(), Scanned::NAMED);
    }
}
