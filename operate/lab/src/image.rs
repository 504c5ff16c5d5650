//! Base images: what a fresh server of each operating system has before anybody has touched it. Built once, kept by
//! content: a change of anything that goes into an image gives it another name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use sha2::{Digest as _, Sha256};

use crate::command;
use crate::error::{LabError, Result, file_error};
use crate::keyring;
use crate::lock::Lock;
use crate::packages;
use crate::paths;
use crate::spec::LabOs;

/// Debian's archive.
pub(crate) const MIRROR: &str = "http://deb.debian.org/debian";
const SECURITY_MIRROR: &str = "http://deb.debian.org/debian-security";

/// Raise it when the code below puts something else into an image.
const SETUP_VERSION: u32 = 1;

/// Free space a build needs, in MiB: an unpacked image, its packages, and room for the hosts to grow.
const BUILD_SPACE_MIB: u64 = 3072;

/// What a cloud image of Debian has: enough to be reached and worked on, none of what the platform installs.
const HOST_PACKAGES: &[&str] = &[
    "ca-certificates",
    "curl",
    "dbus",
    "gnupg",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "less",
    "libpam-systemd",
    "netbase",
    "nftables",
    "openssh-server",
    "openssl",
    "procps",
    "psmisc",
    "python3",
    "python3-apt",
    "rsync",
    "sudo",
    "systemd",
    "systemd-sysv",
    "systemd-timesyncd",
    "tzdata",
    "udev",
    "ufw",
    "vim-tiny",
];
/// What the world around the hosts runs: a CDN and an ACME authority.
const WORLD_PACKAGES: &[&str] = &["ca-certificates", "caddy", "curl", "openssl", "pebble"];

/// The servers that the platform runs, what works with them, and the tools that examine them: tests meet them here, so
/// that nobody's own machine has to have them.
const SERVERS_PACKAGES: &[&str] = &[
    "ca-certificates",
    "chromium",
    "chromium-driver",
    "dbus",
    "docker-cli",
    "docker.io",
    "iproute2",
    "iptables",
    "nftables",
    "openssh-client",
    "openssl",
    "pgbouncer",
    "postgresql-18",
    "procps",
    "python3",
    "python3-venv",
    "ufw",
    "valkey-server",
    "valkey-tools",
];

/// Only here: the mirror's testing suite may be older than it says it is valid, and translations cost time.
const APT_CONFIGURATION: &str = "Acquire::Check-Valid-Until \"false\";\nAcquire::Languages \"none\";\n";
/// A lab's host is made anew after a crash of the machine, so dpkg need not wait for the disk.
const DPKG_CONFIGURATION: &str = "force-unsafe-io\n";

/// A base image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Image {
    /// A fresh server.
    Host(LabOs),
    /// The root of the CDN and the ACME authority.
    World,
    /// A root with the platform's servers, for tests.
    Servers,
}

impl Image {
    /// Where the image is, or will be once it is built.
    pub(crate) fn path(self) -> PathBuf {
        paths::images().join(format!("{}-{}", self.kind(), self.key()))
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Host(LabOs::Debian14) => "debian-14",
            Self::Host(LabOs::Debian13) => "debian-13",
            Self::World => "world",
            Self::Servers => "servers",
        }
    }

    fn suite(self) -> &'static str {
        match self {
            Self::Host(LabOs::Debian13) => "trixie",
            Self::Host(LabOs::Debian14) | Self::World | Self::Servers => "forky",
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Host(_) => HOST_PACKAGES,
            Self::World => WORLD_PACKAGES,
            Self::Servers => SERVERS_PACKAGES,
        }
    }

    /// Package sources of a host, as a cloud image of the suite has them.
    fn sources(self) -> String {
        let signed = "Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp";
        match self.suite() {
            "trixie" => format!(
                "Types: deb\nURIs: {MIRROR}\nSuites: trixie trixie-updates trixie-backports\nComponents: main\n{signed}\n\n\
                 Types: deb\nURIs: {SECURITY_MIRROR}\nSuites: trixie-security\nComponents: main\n{signed}\n"
            ),
            suite => format!("Types: deb\nURIs: {MIRROR}\nSuites: {suite}\nComponents: main\n{signed}\n"),
        }
    }

    fn key(self) -> String {
        let mut hash = Sha256::new();
        for part in
            [self.suite(), &self.packages().join(" "), &self.sources(), APT_CONFIGURATION, DPKG_CONFIGURATION]
        {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(SETUP_VERSION.to_le_bytes());
        hash.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A root directory with the servers that the platform runs, each in the version of the lab's default operating system;
/// built where the cache lacks it. For tests: nothing may be changed in it, so mount a layer over it.
///
/// # Errors
/// Without root, without space, or when a package cannot be had.
pub fn servers_root(progress: &dyn Fn(&str)) -> Result<PathBuf> {
    crate::require_root()?;
    packages::install_missing_packages(progress)?;
    paths::make_directory(&paths::images(), 0o755)?;
    ensure(&BTreeSet::from([Image::Servers]), progress)?;
    Ok(Image::Servers.path())
}

/// Builds those of `images` that the cache lacks, all at the same time.
pub(crate) fn ensure(images: &BTreeSet<Image>, progress: &dyn Fn(&str)) -> Result<()> {
    let missing: Vec<Image> = images.iter().copied().filter(|image| !image.path().is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    paths::make_directory(&paths::images(), 0o755)?;
    paths::require_space(BUILD_SPACE_MIB)?;
    std::thread::scope(|scope| {
        let (sender, messages) = mpsc::channel::<String>();
        let builds: Vec<_> = missing
            .iter()
            .map(|&image| {
                let sender = sender.clone();
                // Nobody listens any more only when `up` itself has failed: then the message has no reader to miss it.
                scope.spawn(move || build_alone(image, &|message| drop(sender.send(message.to_owned()))))
            })
            .collect();
        drop(sender);
        for message in messages {
            progress(&message);
        }
        builds
            .into_iter()
            .map(|build| {
                build.join().unwrap_or_else(|_| {
                    Err(LabError::Unsupported { reason: "a thread that builds an image panicked".to_owned() })
                })
            })
            .collect::<Result<Vec<()>>>()
    })?;
    Ok(())
}

fn build_alone(image: Image, progress: &dyn Fn(&str)) -> Result<()> {
    let lock = Lock::take(&format!("image-{}", image.kind()), progress)?;
    let built = if image.path().is_dir() { Ok(()) } else { build(image, progress) };
    lock.remove()?;
    built
}

fn build(image: Image, progress: &dyn Fn(&str)) -> Result<()> {
    progress(&format!(
        "building the base image {} (once; it is kept in {})",
        image.kind(),
        paths::images().display()
    ));
    // Under the lock nobody else builds: whatever lies here was left by a build that was killed.
    let workshop = paths::images().join(format!(".building-{}", image.kind()));
    paths::remove(&workshop)?;
    paths::make_directory(&workshop, 0o700)?;
    let root = workshop.join("root");
    let keyring = keyring::installed()?;
    let first = bootstrap(image, &root, &keyring);
    if first.as_ref().is_err_and(lacks_key) {
        progress(
            "this machine's keyring is older than the suite: fetching a newer one that the old one vouches for",
        );
        let newer = keyring::fetch_newer(&keyring, &workshop.join("keyring"))?;
        paths::remove(&root)?;
        bootstrap(image, &root, &newer)?;
    } else {
        first?;
    }
    furnish(image, &root)?;
    fs::rename(&root, image.path()).map_err(file_error("put in place the image", &root))?;
    paths::remove(&workshop)?;
    discard_superseded(image)?;
    progress(&format!("base image {} is ready", image.kind()));
    Ok(())
}

/// Installs the suite and the packages. Runs in process and mount namespaces of its own and dies with this process, so
/// that a build that is killed leaves nothing but files.
fn bootstrap(image: Image, root: &Path, keyring: &Path) -> Result<()> {
    let mut command = Command::new("setpriv");
    command
        .args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["--propagation", "private", "mmdebstrap", "--mode=root", "--variant=minbase"])
        .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
        .arg("--aptopt=Acquire::Languages \"none\"")
        .arg(format!("--include={}", image.packages().join(",")))
        .arg(image.suite())
        .arg(root)
        .arg(format!("deb [signed-by={}] {MIRROR} {} main", keyring.display(), image.suite()))
        // The files of the image must be readable to the hosts' own users whatever the caller's mask is.
        .env("TMPDIR", "/tmp")
        .stdin(Stdio::null());
    let attempted = format!("build the base image {}", image.kind());
    let output = command::output(&attempted, &mut command)?;
    command::succeeded(&attempted, &command, &output)
}

fn lacks_key(error: &LabError) -> bool {
    let text = error.to_string();
    ["NO_PUBKEY", "Missing key", "not signed", "public key is not available"]
        .iter()
        .any(|sign| text.contains(sign))
}

/// Turns an installed system into an image: nothing in it that must differ between hosts.
fn furnish(image: Image, root: &Path) -> Result<()> {
    let etc = root.join("etc");
    for leftover in ["apt/apt.conf.d/99mmdebstrap", "apt/sources.list", "hostname", "resolv.conf"] {
        paths::remove(&etc.join(leftover))?;
    }
    paths::write_file(&etc.join("apt/sources.list.d/debian.sources"), image.sources().as_bytes(), 0o644)?;
    paths::write_file(&etc.join("apt/apt.conf.d/80lab"), APT_CONFIGURATION.as_bytes(), 0o644)?;
    paths::write_file(&etc.join("dpkg/dpkg.cfg.d/lab"), DPKG_CONFIGURATION.as_bytes(), 0o644)?;
    paths::write_file(&etc.join("machine-id"), b"", 0o444)?;
    paths::remove(&root.join("var/lib/dbus/machine-id"))?;
    remove_host_keys(&etc.join("ssh"))
}

fn remove_host_keys(directory: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            paths::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes older images of the same kind, unless a lab may stand on one of them.
fn discard_superseded(image: Image) -> Result<()> {
    if fs::read_dir(paths::labs()).is_ok_and(|mut labs| labs.next().is_some()) {
        return Ok(());
    }
    let prefix = format!("{}-", image.kind());
    let directory = paths::images();
    let entries = fs::read_dir(&directory).map_err(file_error("list", &directory))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) && entry.path() != image.path() {
            paths::remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_different_content_have_different_names() {
        let names: BTreeSet<_> =
            [Image::Host(LabOs::Debian14), Image::Host(LabOs::Debian13), Image::World, Image::Servers]
                .map(Image::key)
                .into();
        assert_eq!(names.len(), 4);
        assert_eq!(Image::World.key(), Image::World.key());
    }

    #[test]
    fn a_missing_key_is_told_from_other_failures() {
        let failed = |output: &str| LabError::Command {
            attempted: String::new(),
            command: String::new(),
            outcome: String::new(),
            output: output.to_owned(),
        };
        assert!(lacks_key(&failed("the public key is not available: NO_PUBKEY 6ED0E7B82643E131")));
        assert!(!lacks_key(&failed("E: Unable to locate package caddy")));
    }
}
