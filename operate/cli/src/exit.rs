//! Exit codes, as the design promises them.

use bastide_platform::PlatformErrors;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Called wrongly, or the platform file is invalid.
    Usage,
    /// `plan --exit-code` found differences.
    Differences,
    /// A check failed.
    CheckFailed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Differences => 3,
            Exit::CheckFailed => 4,
        })
    }
}

/// The person stopped the command.
#[derive(Debug, thiserror::Error)]
#[error(
    "interrupted: each host finishes the resource at hand, touches no other and frees its lock; run the same command \
     again to complete it"
)]
pub struct Interrupted;

/// The platform file describes something that will not work.
#[derive(Debug, thiserror::Error)]
#[error("the platform has {0} error(s), so nothing was touched; `bastide lint` explains each")]
pub struct LintErrors(pub usize);

/// The exit code for an error.
pub fn of(error: &anyhow::Error) -> Exit {
    let usage = error.is::<PlatformErrors>() || error.is::<LintErrors>();
    if usage { Exit::Usage } else { Exit::Failed }
}
