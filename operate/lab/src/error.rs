//! What can go wrong with a lab, and what to do about it.

use std::path::{Path, PathBuf};

/// Every way a lab operation fails. Each message says what was attempted, why it failed and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The caller is not root.
    #[error(
        "a lab needs root: it makes network namespaces, mounts and firewall rules. Run the command again as root"
    )]
    NotRoot,
    /// The machine does not run Linux, or lacks what the lab needs of the kernel.
    #[error("a lab cannot run on this machine: {reason}")]
    Unsupported {
        /// What is missing.
        reason: String,
    },
    /// The lab's description contradicts itself.
    #[error("the lab's description is invalid: {reason}")]
    InvalidSpec {
        /// Which rule is broken and by what.
        reason: String,
    },
    /// A lab of that name exists with another description.
    #[error(
        "lab {name} is up with another description ({difference}). Take it down first (`bastide lab down`, which discards its hosts) or give the new one another name"
    )]
    SpecChanged {
        /// Name of the lab.
        name: String,
        /// Which part differs.
        difference: String,
    },
    /// No lab of that name is on this machine.
    #[error("no lab is named {name} on this machine (there is: {known}). `bastide up` makes one")]
    NoSuchLab {
        /// The name asked for.
        name: String,
        /// The labs there are.
        known: String,
    },
    /// The lab has no host or place of that name.
    #[error("lab {lab} has no {kind} named {name} (it has: {known})")]
    NoSuchPlace {
        /// Name of the lab.
        lab: String,
        /// `host` or `place`.
        kind: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The host is not running.
    #[error("{host} of lab {lab} is not running: start it with `bastide lab start {host}`")]
    NotRunning {
        /// Name of the lab.
        lab: String,
        /// Name of the host.
        host: String,
    },
    /// The lab's public network is taken.
    #[error(
        "network {network} of lab {lab} is in use on this machine ({by}): choose another in the lab's description"
    )]
    NetworkInUse {
        /// Name of the lab.
        lab: String,
        /// The network asked for.
        network: String,
        /// Who uses it.
        by: String,
    },
    /// Too little disk space.
    #[error("{} has {free_mib} MiB free and a lab needs {needed_mib} MiB: free some space there", path.display())]
    DiskFull {
        /// Where.
        path: PathBuf,
        /// Free space in MiB.
        free_mib: u64,
        /// Needed space in MiB.
        needed_mib: u64,
    },
    /// A program the lab uses failed.
    #[error("{attempted}: `{command}` {outcome}{}{}", if output.is_empty() { "" } else { ":\n" }, output)]
    Command {
        /// What the program was run for.
        attempted: String,
        /// The command line.
        command: String,
        /// How it ended.
        outcome: String,
        /// The last lines of what it said.
        output: String,
    },
    /// A file could not be read or written.
    #[error("{attempted} {}: {source}", path.display())]
    File {
        /// What was attempted, for example `write`.
        attempted: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A certificate or key could not be made.
    #[error("make the certificates of the lab's world: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Something did not happen in time.
    #[error("{what} did not happen within {seconds} s{}{}", if evidence.is_empty() { "" } else { ":\n" }, evidence)]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long, in seconds.
        seconds: u64,
        /// The last thing seen.
        evidence: String,
    },
}

/// Result of a lab operation.
pub type Result<T> = std::result::Result<T, LabError>;

/// Turns an I/O error on `path` into a [`LabError`] that names both.
pub(crate) fn file_error<'a>(
    attempted: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> LabError + use<'a> {
    move |source| LabError::File { attempted, path: path.to_owned(), source }
}
