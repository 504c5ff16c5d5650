//! Datagrams, and whether anything answers them.

use crate::place::ProbeError;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Sends a datagram to each target, twice, and waits for an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Udp {
    /// Address and port of each target.
    pub targets: Vec<(IpAddr, u16)>,
    /// What is sent.
    pub datagram: Datagram,
    /// Milliseconds to wait for an answer.
    pub timeout_ms: u64,
}

/// What a datagram says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Datagram {
    /// A QUIC packet of a version that nobody speaks: every QUIC server answers with the versions that it speaks.
    Quic,
    /// These bytes.
    Bytes(Vec<u8>),
}

/// What became of a datagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UdpReach {
    /// Somebody answered with so many bytes.
    Answered(usize),
    /// The target said that nobody listens: the datagram arrived.
    Refused,
    /// Nothing came back: dropped on the way, or received by somebody who says nothing.
    Silent,
    /// The network said that there is no way there.
    Unreachable(String),
}

impl Udp {
    pub(super) async fn execute(self) -> Result<Vec<UdpReach>, ProbeError> {
        let wait = Duration::from_millis(self.timeout_ms / 2);
        let bytes = &self.datagram.bytes();
        stream::iter(self.targets)
            .map(|(address, port)| async move {
                let target = SocketAddr::new(address, port);
                exchange(target, bytes, wait).await.or_else(|error| unreachable(&error).ok_or(error)).map_err(
                    |error| ProbeError::broken(format_args!("sending a datagram to {target}"), error),
                )
            })
            .buffered(512)
            .try_collect()
            .await
    }
}

impl Datagram {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Datagram::Bytes(bytes) => bytes.clone(),
            Datagram::Quic => quic_of_no_version(),
        }
    }
}

/// A long-header packet of a version reserved for forcing negotiation (RFC 9000, 15), padded to the length below
/// which servers do not answer.
fn quic_of_no_version() -> Vec<u8> {
    let mut packet = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a];
    for connection_id in [b"bastide1", b"bastide2"] {
        packet.push(connection_id.len() as u8);
        packet.extend_from_slice(connection_id);
    }
    packet.resize(1200, 0);
    packet
}

/// Sends, waits, sends again and waits again.
async fn exchange(target: SocketAddr, bytes: &[u8], wait: Duration) -> Result<UdpReach, Error> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(target).await?;
    let mut answer = [0; 2048];
    for _ in 0..2 {
        socket.send(bytes).await?;
        if let Ok(received) = timeout(wait, socket.recv(&mut answer)).await {
            return received.map(UdpReach::Answered);
        }
    }
    Ok(UdpReach::Silent)
}

/// What the network said, where the error is the network's and not our own.
fn unreachable(error: &Error) -> Option<UdpReach> {
    match error.kind() {
        ErrorKind::ConnectionRefused => Some(UdpReach::Refused),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::PermissionDenied => {
            Some(UdpReach::Unreachable(error.to_string()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_refusals_and_silence_are_told_apart() {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let echo = UdpSocket::bind((here, 0)).await.unwrap();
        let mute = UdpSocket::bind((here, 0)).await.unwrap();
        let closed = UdpSocket::bind((here, 0)).await.unwrap().local_addr().unwrap().port();
        let targets = [&echo, &mute].map(|socket| (here, socket.local_addr().unwrap().port()));
        let answering = tokio::spawn(async move {
            let mut buffer = [0; 64];
            let (length, from) = echo.recv_from(&mut buffer).await.unwrap();
            echo.send_to(&buffer[..length], from).await.unwrap();
        });
        let probe = Udp {
            targets: vec![targets[0], targets[1], (here, closed)],
            datagram: Datagram::Bytes(b"hello".to_vec()),
            timeout_ms: 400,
        };
        let found = probe.execute().await.unwrap();
        assert_eq!(found, [UdpReach::Answered(5), UdpReach::Silent, UdpReach::Refused]);
        answering.await.unwrap();
    }
}
