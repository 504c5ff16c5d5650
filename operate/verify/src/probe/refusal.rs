//! Refusals: how far an attempt got, and what ended it.

use crate::place::ProbeError;
use serde::{Deserialize, Serialize};
use std::fmt;
use tokio::time::Instant;

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

/// Why an attempt ended early: the peer's doing, which is a finding, or our own, which is none.
#[derive(Debug)]
pub(super) enum Ended {
    Refused(Refusal),
    Broken(ProbeError),
}

impl Ended {
    /// Ended by the peer.
    pub(super) fn refused(stage: Stage, reason: impl fmt::Display) -> Self {
        Ended::Refused(Refusal::new(stage, reason))
    }

    /// Ended by what we were asked to attempt, such as a PEM text that holds no certificate.
    pub(super) fn broken(attempted: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Ended::Broken(ProbeError::broken(attempted, reason))
    }
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Ended::Refused(refusal)
    }
}

impl From<ProbeError> for Ended {
    fn from(error: ProbeError) -> Self {
        Ended::Broken(error)
    }
}

/// Makes of an attempt's end what a probe answers.
pub(super) fn settle<T>(ended: Result<T, Ended>) -> Result<Attempt<T>, ProbeError> {
    match ended {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(Ended::Refused(refusal)) => Ok(Err(refusal)),
        Err(Ended::Broken(error)) => Err(error),
    }
}

/// Gives up at `deadline`; what had not come by then is a refusal at `stage`.
pub(super) async fn by<T>(
    deadline: Instant,
    stage: Stage,
    work: impl Future<Output = Result<T, Ended>>,
) -> Result<T, Ended> {
    let late = |_| Err(Ended::refused(stage, "no answer in time"));
    tokio::time::timeout_at(deadline, work).await.unwrap_or_else(late)
}
