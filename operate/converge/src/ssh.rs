//! The way to the hosts: OpenSSH, with a configuration of our own.
//!
//! The edge is reached at its public address and every other host through it. Connections are shared, host keys are
//! pinned on both hops, and nothing is ever asked: what would ask, fails. A person can use the same file with `ssh -F`.

use bastide_platform::{Host, Platform};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where keys and pins are, and where the connections' sockets may be.
#[derive(Debug, Clone)]
pub struct Access {
    /// Private key; none leaves the choice to the user's agent and default keys.
    pub identity: Option<PathBuf>,
    /// Pinned host keys, by address.
    pub known_hosts: PathBuf,
    /// Directory of the configuration and of the control sockets; short, and readable by its owner alone.
    pub directory: PathBuf,
    /// Whether the key of a host that was never met is pinned at first contact; a changed key is always refused.
    pub pin_new_hosts: bool,
}

/// OpenSSH's configuration for a platform.
#[derive(Debug, Clone)]
pub struct SshConfig {
    path: PathBuf,
}

impl SshConfig {
    /// Writes the configuration for `platform`.
    pub fn write(platform: &Platform, access: &Access) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&access.directory)?;
        let path = access.directory.join("ssh_config");
        let text = render(platform, access);
        if fs::read_to_string(&path).is_ok_and(|present| present == text) {
            return Ok(Self { path });
        }
        // Two runs at once may write it; each puts a complete file in place.
        let beside = access.directory.join(format!("ssh_config.{}", std::process::id()));
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        fs::rename(&beside, &path)?;
        Ok(Self { path })
    }

    /// Where it is, for `ssh -F`.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The configuration as text.
pub fn render(platform: &Platform, access: &Access) -> String {
    let mut text = String::from("# Written by bastide; use it with `ssh -F`.\n");
    for host in &platform.hosts {
        text.push_str(&host_section(platform, host));
    }
    let strict = if access.pin_new_hosts { "accept-new" } else { "yes" };
    let _ = write!(
        text,
        "\nHost *\n  StrictHostKeyChecking {strict}\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  \
         UpdateHostKeys no\n  BatchMode yes\n  ConnectTimeout 10\n  ServerAliveInterval 5\n  ServerAliveCountMax 6\n  \
         ControlMaster auto\n  ControlPath {}/%n\n  ControlPersist 60\n  LogLevel ERROR\n",
        access.known_hosts.display(),
        access.directory.display(),
    );
    if let Some(identity) = &access.identity {
        let _ = write!(text, "  IdentityFile {}\n  IdentitiesOnly yes\n", identity.display());
    }
    text
}

fn host_section(platform: &Platform, host: &Host) -> String {
    let (address, jump) = match host.public_address {
        Some(address) => (address, None),
        None => (host.address, Some(&platform.edge().name)),
    };
    let mut text = format!(
        "\nHost {name}\n  HostName {address}\n  User {user}\n  Port {port}\n",
        name = host.name,
        user = host.ssh.user,
        port = host.ssh.port,
    );
    if let Some(edge) = jump {
        let _ = writeln!(text, "  ProxyJump {edge}");
    }
    text
}

/// Ends the shared connections whose sockets are in `directory`, which would otherwise linger for a minute.
pub fn close_shared_connections(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_socket() {
            let control = format!("ControlPath={}", entry.path().display());
            let ended = Command::new("ssh").args(["-o", &control, "-O", "exit", "-q", "any"]).output()?;
            if !ended.status.success() && entry.path().exists() {
                // Its process is gone already and left the socket behind.
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// Why a connection did not come about, and what to do, from what OpenSSH said.
pub fn explain(host: &str, said: &str) -> String {
    let said = said.trim();
    let advice = if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        "its host key is not the pinned one: somebody may stand in between. If the server was really rebuilt, remove \
         its line from the known hosts file and connect again"
    } else if said.contains("Host key verification failed") {
        "its host key is not pinned yet: compare its fingerprint and run again with `--pin-new-hosts`"
    } else if said.contains("Permission denied") {
        "it does not accept this key: check the operator's key in platform.toml and the user under [ssh]"
    } else if said.contains("a password is required") || said.contains("not in the sudoers") {
        "its user may not run anything by `sudo -n`: grant it NOPASSWD, or log in as root"
    } else if said.contains("Connection refused") {
        "nothing listens at its SSH port: is sshd running?"
    } else if ["timed out", "No route to host", "unreachable", "kex_exchange_identification"]
        .iter()
        // The last is all that a jump leaves of the others.
        .any(|sign| said.contains(sign))
    {
        "it does not answer: is it running, is its address right, and does the provider's firewall let you in?"
    } else {
        "see what ssh said"
    };
    format!("connect to {host}: {advice}\n{said}")
}
