//! What a run of checks found.

use serde::Serialize;

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The claim holds.
    Pass,
    /// The claim is refuted, or nobody could prove it.
    Fail,
    /// No probe is possible from here.
    Skip,
}

/// One check, as it came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckResult {
    /// Stable id.
    pub id: String,
    /// The host that it is about; none where it is about the platform.
    pub host: Option<String>,
    /// The component whose claim it is.
    pub component: &'static str,
    /// What became of it.
    pub status: Status,
    /// The claim.
    pub claim: String,
    /// What was seen.
    pub evidence: String,
    /// How long the probe took.
    pub seconds: f64,
}

/// A whole run, in the order of the checks.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Every check.
    pub checks: Vec<CheckResult>,
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many were skipped.
    pub skipped: usize,
    /// Seconds that the run took.
    #[serde(skip)]
    pub seconds: f64,
}

impl Report {
    /// Counts the results of a run that took so many seconds.
    pub fn new(checks: Vec<CheckResult>, seconds: f64) -> Self {
        let count = |status| checks.iter().filter(|check| check.status == status).count();
        let (passed, failed, skipped) = (count(Status::Pass), count(Status::Fail), count(Status::Skip));
        Self { checks, passed, failed, skipped, seconds }
    }
}
