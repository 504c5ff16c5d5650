//! The lab: the hosts of a platform and the world around them, booted for real on one Linux machine.
//!
//! A host is a Debian system with its own systemd, network namespace and disk layer. It is reached as a rented server
//! would be: by SSH, through the edge's public address. Around the hosts there are an ACME authority, a CDN, four login
//! providers and two places for clients. All of it lives outside any checkout, survives the death of whoever started it, and goes without
//! a trace when [`Lab::down`] is called.

mod actions;
mod addresses;
mod bring_up;
mod certificates;
mod command;
mod error;
mod host;
mod image;
mod keyring;
mod lab;
mod limits;
mod lock;
mod machine;
mod names;
mod network;
mod packages;
mod paths;
mod process;
mod providers;
mod settings;
mod spec;
mod ssh;
mod status;
mod teardown;
mod uplink;
mod world;

pub use error::{LabError, Result};
pub use image::servers_root;
pub use lab::{Lab, cdn_ranges};
pub use packages::{REQUIRED_PACKAGES, install_missing_packages, missing_packages};
pub use providers::{LoginCredential, LoginProvider};
pub use spec::{LabHost, LabOs, LabSpec};
pub use status::{LabStatus, MachineStatus};

/// Fails unless this process may do what a lab needs.
fn require_root() -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Err(LabError::Unsupported { reason: "it does not run Linux".to_owned() });
    }
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot) }
}
