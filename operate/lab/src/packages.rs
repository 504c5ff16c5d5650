//! The packages of the machine that a lab uses.

use std::process::{Command, Stdio};

use crate::command;
use crate::error::{LabError, Result};

/// Debian and Ubuntu packages a machine needs to run a lab.
pub const REQUIRED_PACKAGES: [&str; 8] = [
    "debian-archive-keyring",
    "iproute2",
    "mmdebstrap",
    "nftables",
    "openssh-client",
    "procps",
    "systemd-container",
    "util-linux",
];

/// Installs those of [`REQUIRED_PACKAGES`] that the machine lacks, by apt. Needs root if any is missing.
///
/// # Errors
/// [`LabError::Unsupported`] on a machine without apt, [`LabError::Command`] when apt fails.
pub fn install_missing_packages(progress: &dyn Fn(&str)) -> Result<()> {
    let missing = missing_packages()?;
    if missing.is_empty() {
        return Ok(());
    }
    crate::require_root()?;
    progress(&format!("installing {}", missing.join(", ")));
    let attempted = "install the packages a lab needs";
    if apt(attempted, "install", &missing).is_err() {
        // A machine that was never updated, or long ago, has no lists or old ones.
        apt("refresh apt's package lists", "update", &[])?;
        apt(attempted, "install", &missing)?;
    }
    Ok(())
}

/// Which of [`REQUIRED_PACKAGES`] the machine lacks.
///
/// # Errors
/// [`LabError::Unsupported`] on a machine without dpkg.
pub fn missing_packages() -> Result<Vec<&'static str>> {
    let mut query = Command::new("dpkg-query");
    query
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\\n"])
        .args(REQUIRED_PACKAGES)
        .stdin(Stdio::null());
    let output = query.output().map_err(|_| LabError::Unsupported {
        reason: format!(
            "it has no dpkg. A lab runs on Debian and Ubuntu; elsewhere install the equivalents of {} by hand",
            REQUIRED_PACKAGES.join(", ")
        ),
    })?;
    let listed = String::from_utf8_lossy(&output.stdout);
    let installed: Vec<_> = listed.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    Ok(REQUIRED_PACKAGES.into_iter().filter(|package| !installed.contains(package)).collect())
}

fn apt(attempted: &str, verb: &str, packages: &[&str]) -> Result<()> {
    let mut arguments = vec!["-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0", "--quiet", verb];
    if verb == "install" {
        arguments.extend(["--yes", "--no-install-recommends"]);
        arguments.extend(packages);
    }
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    let output = command::output(attempted, &mut command)?;
    command::succeeded(attempted, &command, &output)
}
