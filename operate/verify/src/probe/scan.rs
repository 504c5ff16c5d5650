//! A scan of many TCP ports of one address.

use super::connect::{Reach, attempt, descriptors};
use crate::place::ProbeError;
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
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
        Self { address, from: 1, to: u16::MAX, timeout_ms: 500, concurrency: 16_384 }
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
        let began = Instant::now();
        let mut scanned = Scanned::default();
        let silent = self.pass((self.from..=self.to).collect(), &mut scanned).await?;
        let silent = self.pass(silent, &mut scanned).await?;
        scanned.dropped = silent.len() as u32;
        scanned.open.sort_unstable();
        scanned.refused_ports.sort_unstable();
        scanned.milliseconds = began.elapsed().as_millis() as u64;
        Ok(scanned)
    }

    /// Attempts each port once, and returns those that said nothing.
    async fn pass(&self, ports: Vec<u16>, scanned: &mut Scanned) -> Result<Vec<u16>, ProbeError> {
        let wait = Duration::from_millis(self.timeout_ms);
        let concurrency = descriptors(self.concurrency.min(ports.len()))?;
        let mut attempts = stream::iter(ports)
            .map(|port| async move { (port, attempt(SocketAddr::new(self.address, port), wait).await) })
            .buffer_unordered(concurrency);
        let mut silent = Vec::new();
        while let Some((port, reach)) = attempts.next().await {
            match reach? {
                Reach::Dropped => silent.push(port),
                other => scanned.record(port, other),
            }
        }
        Ok(silent)
    }
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
