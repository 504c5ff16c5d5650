//! The operator's key, and the hosts' keys, known before the hosts first boot.

use std::path::{Path, PathBuf};

use crate::command::run;
use crate::error::{Result, file_error};
use crate::paths;
use crate::spec::{LabHost, LabSpec};

/// The SSH keys of a lab.
#[derive(Debug)]
pub(crate) struct Keys {
    directory: PathBuf,
}

impl Keys {
    /// The keys below the lab's directory `lab`, made or to be made.
    pub(crate) fn at(lab: &Path) -> Self {
        Self { directory: lab.join("ssh") }
    }

    /// The operator's private key.
    pub(crate) fn operator(&self) -> PathBuf {
        self.directory.join("id_ed25519")
    }

    /// The public half of the operator's key, one line.
    pub(crate) fn operator_public(&self) -> Result<String> {
        paths::read_file(&self.directory.join("id_ed25519.pub"))
    }

    /// The hosts' keys by their addresses, as ssh reads it.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.directory.join("known_hosts")
    }

    /// A host's private key.
    pub(crate) fn host(&self, host: &LabHost) -> Result<String> {
        paths::read_file(&self.host_key(&self.directory, host))
    }

    /// The public half of a host's key, one line.
    pub(crate) fn host_public(&self, host: &LabHost) -> Result<String> {
        paths::read_file(&public_half(&self.host_key(&self.directory, host)))
    }

    /// Makes all keys, unless they are there.
    pub(crate) fn ensure(&self, spec: &LabSpec) -> Result<()> {
        if self.directory.is_dir() {
            return Ok(());
        }
        let unfinished = self.directory.with_extension("new");
        paths::remove(&unfinished)?;
        paths::make_directory(&unfinished.join("hosts"), 0o700)?;
        paths::make_directory(&unfinished, 0o700)?;
        generate(&unfinished.join("id_ed25519"), &format!("operator of lab {}", spec.name))?;
        let mut known_hosts = String::new();
        for host in &spec.hosts {
            let key = self.host_key(&unfinished, host);
            generate(&key, &host.name)?;
            let public = paths::read_file(&public_half(&key))?;
            let addresses = host.public_address.into_iter().chain([host.private_address]);
            let names: Vec<_> = addresses.map(|address| address.to_string()).collect();
            known_hosts += &format!("{} {public}", names.join(","));
        }
        paths::write_file(&unfinished.join("known_hosts"), known_hosts.as_bytes(), 0o644)?;
        std::fs::rename(&unfinished, &self.directory).map_err(file_error("put in place", &unfinished))
    }

    fn host_key(&self, directory: &Path, host: &LabHost) -> PathBuf {
        directory.join("hosts").join(&host.name)
    }
}

fn public_half(key: &Path) -> PathBuf {
    let mut path = key.to_owned().into_os_string();
    path.push(".pub");
    path.into()
}

fn generate(file: &Path, comment: &str) -> Result<()> {
    let file = file.to_string_lossy();
    run("make an SSH key", "ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", &file])
        .map(drop)
}
