//! TCP connections, opened and closed again.

use crate::place::ProbeError;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Opens a TCP connection to each target, and closes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connect {
    /// Address and port of each target.
    pub targets: Vec<(IpAddr, u16)>,
    /// Milliseconds after which a target that says nothing counts as dropped.
    pub timeout_ms: u64,
    /// Connections attempted at the same time.
    pub concurrency: usize,
    /// Milliseconds during which a target that refuses is tried again: for a listener that is about to start.
    pub patience_ms: u64,
}

impl Connect {
    /// Tries each target once, all of them together.
    ///
    /// The timeout leaves room for the first SYN to be lost: the kernel sends the second after one second.
    pub fn to(targets: Vec<(IpAddr, u16)>) -> Self {
        Self { targets, timeout_ms: 1_600, concurrency: 512, patience_ms: 0 }
    }
}

/// What a connection attempt came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Somebody accepted.
    Open,
    /// The target answered with a reset: the packet arrived, and nobody listens.
    Refused,
    /// Nothing came back.
    Dropped,
    /// The network said that there is no way there.
    Unreachable(String),
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Open => f.write_str("open"),
            Reach::Refused => f.write_str("refused"),
            Reach::Dropped => f.write_str("dropped"),
            Reach::Unreachable(reason) => write!(f, "unreachable ({reason})"),
        }
    }
}

impl Connect {
    pub(super) async fn execute(self) -> Result<Vec<Reach>, ProbeError> {
        let wait = Duration::from_millis(self.timeout_ms);
        let patience = Duration::from_millis(self.patience_ms);
        let concurrency = self.concurrency.max(1);
        descriptors(concurrency.min(self.targets.len()))?;
        stream::iter(self.targets)
            .map(|(address, port)| persistently(SocketAddr::new(address, port), wait, patience))
            .buffered(concurrency)
            .try_collect()
            .await
    }
}

/// Tries until the target does something else than refuse, or patience ends.
async fn persistently(target: SocketAddr, wait: Duration, patience: Duration) -> Result<Reach, ProbeError> {
    let end = Instant::now() + patience;
    loop {
        let reach = attempt(target, wait).await?;
        if reach != Reach::Refused || Instant::now() >= end {
            return Ok(reach);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One attempt; an error of our own side is never taken for an answer of the target's.
async fn attempt(target: SocketAddr, wait: Duration) -> Result<Reach, ProbeError> {
    match tokio::time::timeout(wait, TcpStream::connect(target)).await {
        Err(_) => Ok(Reach::Dropped),
        Ok(Ok(_)) => Ok(Reach::Open),
        Ok(Err(error)) => answer_of(target, error),
    }
}

/// What the target or the network said; an error of our own is none of theirs.
pub(super) fn answer_of(target: SocketAddr, error: std::io::Error) -> Result<Reach, ProbeError> {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Ok(Reach::Refused),
        ErrorKind::TimedOut => Ok(Reach::Dropped),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::PermissionDenied => {
            Ok(Reach::Unreachable(error.to_string()))
        }
        _ => Err(ProbeError::broken(format_args!("connecting to {target}"), error)),
    }
}

/// Makes sure that so many sockets can be open at the same time, and says how many may.
pub(super) fn descriptors(wanted: usize) -> Result<usize, ProbeError> {
    /// Descriptors that the process needs for everything else.
    const OTHERS: u64 = 256;
    let needed = wanted as u64 + OTHERS;
    let failed = |error| ProbeError::broken("reading the limit of open files", error);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    if soft < needed {
        // Root may raise both; everybody else what the hard limit leaves.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, needed, hard.max(needed))
            .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard.min(needed), hard));
    }
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    Ok(wanted.min(usize::try_from(soft.saturating_sub(OTHERS)).unwrap_or(wanted)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn free_port() -> u16 {
        TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn an_open_and_a_refused_port_are_told_apart_in_order() {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let open = listener.local_addr().unwrap().port();
        let closed = free_port();
        let found = Connect::to(vec![(HERE, closed), (HERE, open)]).execute().await.unwrap();
        assert_eq!(found, [Reach::Refused, Reach::Open]);
    }

    #[tokio::test]
    async fn a_target_that_says_nothing_is_dropped() {
        // A listener whose queue is full answers no further SYN, as a dropping firewall would.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((HERE, 0).into()).unwrap();
        let listener = socket.listen(0).unwrap();
        let target = listener.local_addr().unwrap();
        let _fills = TcpStream::connect(target).await.unwrap();
        let found = attempt(target, Duration::from_millis(200)).await.unwrap();
        assert_eq!(found, Reach::Dropped);
    }

    #[tokio::test]
    async fn patience_waits_for_a_listener_that_is_about_to_start() {
        let port = free_port();
        let mut probe = Connect::to(vec![(HERE, port)]);
        probe.patience_ms = 5_000;
        let connecting = tokio::spawn(probe.execute());
        tokio::task::yield_now().await;
        let _listener = TcpListener::bind((HERE, port)).unwrap();
        assert_eq!(connecting.await.unwrap().unwrap(), [Reach::Open]);
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_a_target_is_no_finding_about_a_firewall() {
        let broadcast = IpAddr::V4(Ipv4Addr::BROADCAST);
        let found = Connect::to(vec![(broadcast, 1)]).execute().await;
        assert!(
            !matches!(found.as_deref(), Ok([Reach::Open | Reach::Refused | Reach::Dropped])),
            "{found:?}"
        );
    }
}
