//! Datagrams, and whether anything answers them.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

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
