//! Checks: a claim, the probe that could refute it, and the evidence.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What a probe saw, in one line that a person reads beside the claim; a line a step where it took several.
pub type Evidence = String;

/// Why a claim does not hold, or why nobody can tell here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The claim is refuted: what was seen instead.
    Refuted(String),
    /// The probe cannot be made from here, with the reason; counted as skipped and never as passed.
    Impossible(String),
}

/// The probe of a check.
pub type Run = Arc<
    dyn Fn(Arc<crate::Field>) -> Pin<Box<dyn Future<Output = Result<Evidence, Failure>> + Send>>
        + Send
        + Sync,
>;

/// A claim with its probe.
#[derive(Clone)]
pub struct Check {
    /// Stable id, `component/claim-in-kebab-case`.
    pub id: String,
    /// The component whose claim it is.
    pub component: &'static str,
    /// The host that it is about; none where it is about the platform.
    pub host: Option<String>,
    /// The claim, one sentence in the present tense.
    pub claim: String,
    /// The probe.
    pub run: Run,
}

impl Check {
    /// A check of `component` whose probe is `run`.
    pub fn new<F, Fut>(id: &str, component: &'static str, host: Option<&str>, claim: &str, run: F) -> Self
    where
        F: Fn(Arc<crate::Field>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Evidence, Failure>> + Send + 'static,
    {
        Self {
            id: id.to_owned(),
            component,
            host: host.map(str::to_owned),
            claim: claim.to_owned(),
            run: Arc::new(move |field| Box::pin(run(field))),
        }
    }
}

impl From<crate::ProbeError> for Failure {
    /// A probe that broke proves nothing, and what is not proven fails; only where no probe is possible the check is
    /// skipped.
    fn from(error: crate::ProbeError) -> Self {
        match error {
            crate::ProbeError::Impossible(reason) => Failure::Impossible(reason),
            crate::ProbeError::Broken(reason) => Failure::Refuted(format!("not proven: {reason}")),
        }
    }
}

impl From<crate::probe::Refusal> for Failure {
    /// An attempt that the claim needs to succeed did not.
    fn from(refusal: crate::probe::Refusal) -> Self {
        Failure::Refuted(refusal.to_string())
    }
}
