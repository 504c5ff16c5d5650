//! Places: where probes are made from, and who carries them there.

use crate::probe::{Finding, Probe};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// A future that can be kept in a table.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a probe is made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vantage {
    /// The operator's machine.
    Operator,
    /// A client on the internet.
    Internet,
    /// A second client on the internet, with another address.
    AnotherClient,
    /// The CDN's own range.
    Cdn,
    /// Where a lab's login providers are, and are told what to do.
    LoginProviders,
    /// A host, by name.
    Host(String),
}

impl Vantage {
    /// The host named `name`.
    pub fn host(name: impl fmt::Display) -> Self {
        Vantage::Host(name.to_string())
    }
}

impl fmt::Display for Vantage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Vantage::Operator => f.write_str("operator"),
            Vantage::Internet => f.write_str("internet"),
            Vantage::AnotherClient => f.write_str("another client"),
            Vantage::Cdn => f.write_str("cdn"),
            Vantage::LoginProviders => f.write_str("login providers"),
            Vantage::Host(name) => f.write_str(name),
        }
    }
}

/// Carries a probe to its vantage, has it executed there, and brings the finding back.
///
/// Probes overlap: one place must answer several at the same time, because a probe that listens at a host waits for
/// the probes that connect to it.
pub trait Place: Send + Sync {
    /// Has `probe` executed.
    fn probe(&self, probe: Probe) -> BoxFuture<'_, Result<Finding, ProbeError>>;
}

/// The probe was not made; this says nothing of what it would have found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeError {
    /// Nobody can probe from there.
    #[error("{0}")]
    Impossible(String),
    /// It was attempted, and broke before it found anything.
    #[error("{0}")]
    Broken(String),
}

impl ProbeError {
    /// A probe that broke while doing `attempted`.
    pub fn broken(attempted: impl fmt::Display, reason: impl fmt::Display) -> Self {
        ProbeError::Broken(format!("{attempted}: {reason}"))
    }
}
