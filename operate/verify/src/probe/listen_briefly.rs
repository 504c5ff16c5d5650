//! Temporary listeners, which prove a path whose service is not running at present.

use crate::place::ProbeError;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};

/// Listens on TCP ports, accepts whoever comes, says nothing and hangs up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListenBriefly {
    /// Address to listen at.
    pub address: IpAddr,
    /// Ports to listen on.
    pub ports: Vec<u16>,
    /// Milliseconds after which listening ends. It never ends sooner: whoever comes first need not be the visitor who
    /// is awaited, since a proxy's health checks come from the same address.
    pub lease_ms: u64,
}

/// Who came while we listened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visits {
    /// Port and address of each visitor, once.
    pub visitors: Vec<(u16, IpAddr)>,
    /// Ports that could not be listened on, and why.
    pub taken: Vec<(u16, String)>,
}

impl ListenBriefly {
    pub(super) async fn execute(self) -> Result<Visits, ProbeError> {
        let end = Instant::now() + Duration::from_millis(self.lease_ms);
        let mut visits = Visits { visitors: Vec::new(), taken: Vec::new() };
        let mut listeners = Vec::new();
        for port in self.ports {
            match TcpListener::bind((self.address, port)).await {
                Ok(listener) => listeners.push((port, listener)),
                Err(error) => visits.taken.push((port, error.to_string())),
            }
        }
        let receptions = listeners.into_iter().map(|(port, listener)| receive(port, listener, end));
        visits.visitors = join_all(receptions).await.into_iter().flatten().collect();
        Ok(visits)
    }
}

/// Accepts until the lease ends.
async fn receive(port: u16, listener: TcpListener, end: Instant) -> Vec<(u16, IpAddr)> {
    let mut came = BTreeSet::new();
    while let Ok(accepted) = timeout_at(end, listener.accept()).await {
        match accepted {
            Ok((_, visitor)) => {
                came.insert(visitor.ip().to_canonical());
            }
            // A visitor who left before being received is no reason to close.
            Err(_) => tokio::task::yield_now().await,
        }
    }
    came.into_iter().map(|address| (port, address)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Connect;
    use super::super::connect::Reach;
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    async fn free_port() -> u16 {
        TcpListener::bind((HERE, 0)).await.unwrap().local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn a_visitor_is_received_also_after_others() {
        let port = free_port().await;
        let listening =
            tokio::spawn(ListenBriefly { address: HERE, ports: vec![port], lease_ms: 2_000 }.execute());
        for _ in 0..3 {
            let connect = Connect { patience_ms: 10_000, ..Connect::to(vec![(HERE, port)]) };
            assert_eq!(connect.execute().await.unwrap(), [Reach::Open]);
        }
        assert_eq!(listening.await.unwrap().unwrap().visitors, [(port, HERE)]);
    }

    #[tokio::test]
    async fn listening_ends_when_nobody_comes_and_a_taken_port_is_said() {
        let (port, other) = (free_port().await, TcpListener::bind((HERE, 0)).await.unwrap());
        let taken = other.local_addr().unwrap().port();
        let ports = vec![port, taken];
        let visits = ListenBriefly { address: HERE, ports, lease_ms: 50 }.execute().await.unwrap();
        assert!(visits.visitors.is_empty());
        assert_eq!(visits.taken.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [taken]);
    }
}
