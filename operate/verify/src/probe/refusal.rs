//! Refusals: how far an attempt got, and what ended it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What an attempt at a protocol came to.
pub type Attempt<T> = Result<T, Refusal>;

/// How far an attempt got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// No connection came about: it was refused, dropped or unreachable.
    Connect,
    /// The TLS handshake failed, or the server would not begin one.
    Tls,
    /// The server did not accept who we said we are.
    Authentication,
    /// The connection broke, or said what the protocol does not allow.
    Protocol,
}

/// An attempt that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// How far it got.
    pub stage: Stage,
    /// What ended it.
    pub reason: String,
    /// The server's own code, such as an SQLSTATE.
    pub code: Option<String>,
    /// What the server asked for before it refused: PostgreSQL's authentication method.
    pub asked: Option<String>,
}

impl Refusal {
    /// A refusal at `stage`.
    pub fn new(stage: Stage, reason: impl fmt::Display) -> Self {
        Self { stage, reason: reason.to_string(), code: None, asked: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Connect => "no connection",
            Stage::Tls => "no TLS session",
            Stage::Authentication => "not authenticated",
            Stage::Protocol => "connection broke",
        };
        write!(f, "{stage}: {}", self.reason)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        if let Some(asked) = &self.asked {
            write!(f, ", after the server asked for {asked}")?;
        }
        Ok(())
    }
}
