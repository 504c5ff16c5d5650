//! Where software comes from: the one place that maps a component and an operating system to packages.
//!
//! The distribution's own archive comes first; a vendor's repository where the distribution has no version that
//! is fit, over https and trusted by a key whose fingerprint is pinned here.

use crate::openpgp;
use bastide_converge::resource::{AptRepository, Packages, Resource};
use bastide_platform::OperatingSystem::{self, Debian13, Debian14, Ubuntu2404, Ubuntu2604};
use bastide_platform::Version;
use std::fmt;

/// Software that comes as packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Software {
    /// PostgreSQL, in a major version.
    Postgres(u16),
    /// PgBouncer.
    PgBouncer,
    /// Valkey.
    Valkey,
    /// A container engine.
    Docker,
    /// Caddy.
    Caddy,
    /// fail2ban.
    Fail2ban,
    /// The OpenSSH server.
    OpenSsh,
}

impl fmt::Display for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Software::Postgres(version) => write!(f, "PostgreSQL {version}"),
            Software::PgBouncer => f.write_str("PgBouncer"),
            Software::Valkey => f.write_str("Valkey"),
            Software::Docker => f.write_str("Docker"),
            Software::Caddy => f.write_str("Caddy"),
            Software::Fail2ban => f.write_str("fail2ban"),
            Software::OpenSsh => f.write_str("OpenSSH"),
        }
    }
}

/// An operating system cannot be given some software.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No source has a version that is fit.
    #[error("no package source has a fit {software} for {os}: {reason}")]
    Unavailable {
        /// What was wanted.
        software: Software,
        /// For what.
        os: OperatingSystem,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// A repository's key is not the one whose fingerprint is pinned.
    #[error(
        "the signing key of {repository} is not trusted: its fingerprint is {found}, pinned is {pinned}; \
         use a `bastide` from a source that you trust"
    )]
    Key {
        /// The repository.
        repository: &'static str,
        /// Fingerprint of the key at hand, or why it has none.
        found: String,
        /// The fingerprint that the code pins.
        pinned: &'static str,
    },
}

/// Where some software comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The repository beside the distribution's own archive; none where that has it.
    pub repository: Option<AptRepository>,
    /// Release to take the packages from where it is not the default one.
    pub release: Option<String>,
    /// Packages; the first is the server.
    pub packages: Vec<String>,
    /// Least version of the first package, in the packager's notation.
    pub at_least: Option<&'static str>,
}

impl Source {
    /// The resources that install it, in order.
    pub fn resources(&self, component: &str) -> Vec<Resource> {
        let packages = Packages {
            names: self.packages.clone(),
            release: self.release.clone(),
            at_least: self.at_least.map(str::to_owned),
        };
        let repository = self.repository.clone().map(|repository| Resource::new(component, repository));
        repository.into_iter().chain([Resource::new(component, packages)]).collect()
    }
}

/// PostgreSQL's major version where the platform file names none: the newest that the source has.
pub fn postgres_version(os: OperatingSystem) -> u16 {
    match os {
        Debian13 => 17,
        Debian14 | Ubuntu2404 | Ubuntu2604 => 18,
    }
}

/// Where `software` comes from on `os`.
///
/// # Errors
/// When no source has a fit version, or a repository's key does not have its pinned fingerprint.
pub fn source(software: Software, os: OperatingSystem) -> Result<Source, SourceError> {
    let unavailable = |reason| Err(SourceError::Unavailable { software, os, reason });
    let (origin, packages) = match (software, os) {
        (Software::Postgres(version), Debian13 | Debian14) if version != postgres_version(os) => {
            return unavailable(
                "the distribution has one major version; leave postgres.version out to take it",
            );
        }
        (Software::Postgres(version), _) => (
            postgres_origin(os),
            vec![format!("postgresql-{version}"), format!("postgresql-client-{version}")],
        ),
        (Software::PgBouncer, _) => (postgres_origin(os), names(&["pgbouncer"])),
        (Software::Valkey, Ubuntu2404) => {
            return unavailable(
                "its archive has 7.2 and no vendor keeps one; give the host ubuntu-26.04 or debian",
            );
        }
        (Software::Valkey, _) => (Origin::Distribution, names(&["valkey-server", "valkey-tools"])),
        (Software::Docker, Debian13 | Debian14) => {
            (Origin::Distribution, names(&["docker.io", "docker-cli"]))
        }
        (Software::Docker, Ubuntu2404 | Ubuntu2604) => {
            (Origin::Vendor(&DOCKER), names(&["docker-ce", "docker-ce-cli", "containerd.io"]))
        }
        (Software::Caddy, Debian14) => (Origin::Distribution, names(&["caddy"])),
        (Software::Caddy, Debian13) => (Origin::Backports, names(&["caddy"])),
        (Software::Caddy, Ubuntu2404 | Ubuntu2604) => (Origin::Vendor(&CADDY), names(&["caddy"])),
        (Software::Fail2ban, _) => (Origin::Distribution, names(&["fail2ban"])),
        (Software::OpenSsh, _) => (Origin::Distribution, names(&["openssh-server"])),
    };
    let (repository, release) = origin.at(os)?;
    Ok(Source { repository, release, packages, at_least: floor(software, os).package })
}

fn names(packages: &[&str]) -> Vec<String> {
    packages.iter().map(|package| (*package).to_owned()).collect()
}

fn postgres_origin(os: OperatingSystem) -> Origin {
    match os {
        Debian13 | Debian14 => Origin::Distribution,
        Ubuntu2404 | Ubuntu2604 => Origin::Vendor(&PGDG),
    }
}

/// Who publishes a package.
enum Origin {
    Distribution,
    Backports,
    Vendor(&'static Vendor),
}

impl Origin {
    fn at(&self, os: OperatingSystem) -> Result<(Option<AptRepository>, Option<String>), SourceError> {
        match self {
            Origin::Distribution => Ok((None, None)),
            Origin::Backports => {
                let suite = format!("{}-backports", os.codename());
                let repository = AptRepository {
                    name: "backports".to_owned(),
                    uri: "http://deb.debian.org/debian".to_owned(),
                    suites: vec![suite.clone()],
                    components: names(&["main"]),
                    key: None,
                };
                Ok((Some(repository), Some(suite)))
            }
            Origin::Vendor(vendor) => Ok((Some(vendor.repository(os)?), None)),
        }
    }
}

/// A vendor's repository.
struct Vendor {
    name: &'static str,
    uri: &'static str,
    suite: fn(OperatingSystem) -> String,
    component: &'static str,
    key: &'static str,
    /// Fingerprint that the key must have.
    fingerprint: &'static str,
}

/// PostgreSQL's own repository; the key is the one in Debian's package `postgresql-common`.
const PGDG: Vendor = Vendor {
    name: "pgdg",
    uri: "https://apt.postgresql.org/pub/repos/apt",
    suite: |os| format!("{}-pgdg", os.codename()),
    component: "main",
    key: include_str!("../keys/pgdg.asc"),
    fingerprint: "B97B0AFCAA1A47F044F244A07FCC7D46ACCC4CF8",
};

/// Docker's own repository; the key is the one in Debian's package `extrepo-offline-data`.
const DOCKER: Vendor = Vendor {
    name: "docker",
    uri: "https://download.docker.com/linux/ubuntu",
    suite: |os| os.codename().to_owned(),
    component: "stable",
    key: include_str!("../keys/docker.asc"),
    fingerprint: "9DC858229FC7DD38854AE2D88D81803C0EBFCD88",
};

/// Caddy's own repository; the key is the one in Debian's package `extrepo-offline-data`.
const CADDY: Vendor = Vendor {
    name: "caddy",
    uri: "https://dl.cloudsmith.io/public/caddy/stable/deb/debian",
    suite: |_| "any-version".to_owned(),
    component: "main",
    key: include_str!("../keys/caddy.asc"),
    fingerprint: "65760C51EDEA2017CEA2CA15155B6D79CA56EA34",
};

impl Vendor {
    fn repository(&self, os: OperatingSystem) -> Result<AptRepository, SourceError> {
        Ok(AptRepository {
            name: self.name.to_owned(),
            uri: self.uri.to_owned(),
            suites: vec![(self.suite)(os)],
            components: names(&[self.component]),
            key: Some(self.trusted_key()?.to_owned()),
        })
    }

    fn trusted_key(&self) -> Result<&'static str, SourceError> {
        let found = openpgp::fingerprint(self.key).unwrap_or_else(|error| error.to_string());
        if found == self.fingerprint {
            return Ok(self.key);
        }
        Err(SourceError::Key { repository: self.name, found, pinned: self.fingerprint })
    }
}

/// The oldest version that may run, checked on the running server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// What it is about.
    pub software: Software,
    /// Oldest release of each maintained branch; a server of a newer branch is fit, one of an older is not.
    /// Empty where the distribution patches an older release: then only [`Floor::package`] tells.
    pub releases: &'static [Version],
    /// Oldest package version, where the distribution patches an older release instead of moving to a newer one.
    pub package: Option<&'static str>,
    /// What an older version is open to.
    pub reason: &'static str,
}

impl Floor {
    /// Whether a server of this release is fit as far as releases tell.
    pub fn allows(&self, running: Version) -> bool {
        // PostgreSQL's branches are its major versions; everybody else's are major and minor.
        let minor = |version: Version| match self.software {
            Software::Postgres(_) => 0,
            _ => version.minor,
        };
        let branch = |version: Version| (version.major, minor(version));
        match self.releases.iter().find(|floor| branch(**floor) == branch(running)) {
            Some(floor) => running >= *floor,
            None => self.releases.iter().all(|floor| running > *floor),
        }
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut least: Vec<String> = self.releases.iter().map(Version::to_string).collect();
        least.extend(self.package.map(|package| format!("package {package}")));
        write!(f, "{} at least {}: {}", self.software, least.join(", "), self.reason)
    }
}

const PGBOUNCER_REASON: &str = "before 1.26.1 a user in auth_file can log in as another (CVE-2026-107350)";
const VALKEY_REASON: &str =
    "use-after-free in TLS and RESTORE, open to remote code (CVE-2026-56684, CVE-2026-63639)";
const DOCKER_REASON: &str = "before 28 unpublished ports of containers can be reached from the local network";

/// The floor of `software` on `os`.
pub fn floor(software: Software, os: OperatingSystem) -> Floor {
    let releases = |releases, reason| Floor { software, releases, package: None, reason };
    let patched = |package, reason| Floor { software, releases: &[], package: Some(package), reason };
    match (software, os) {
        (Software::Postgres(_), _) => releases(
            const { &[Version::new(17, 12, 0), Version::new(18, 6, 0)] },
            "dozens of security fixes of November 2026 (CVE-2026-6460 and others)",
        ),
        // What is left open there needs a second user in auth_file; Bastide's has one.
        (Software::PgBouncer, Debian13) => {
            patched("1.24.1-1+deb13u2", "an unauthenticated client can crash it (CVE-2026-6664)")
        }
        (Software::PgBouncer, _) => releases(const { &[Version::new(1, 26, 1)] }, PGBOUNCER_REASON),
        (Software::Valkey, Debian13) => patched("8.1.1+dfsg1-3+deb13u3", VALKEY_REASON),
        (Software::Valkey, _) => releases(
            const { &[Version::new(8, 1, 9), Version::new(9, 0, 5), Version::new(9, 1, 1)] },
            VALKEY_REASON,
        ),
        // No container of the platform has a network of its own, which the check of published ports proves.
        (Software::Docker, Debian13) => {
            patched("26.1.5+dfsg1-9+deb13u1", "containers can write outside their root (CVE-2026-41568)")
        }
        (Software::Docker, _) => releases(const { &[Version::new(28, 0, 0)] }, DOCKER_REASON),
        (Software::Caddy, _) => releases(
            const { &[Version::new(2, 11, 2)] },
            "before 2.11.2 forward_auth can be bypassed (GHSA-7r4p-vjf4-gxv4)",
        ),
        (Software::Fail2ban, _) => {
            releases(const { &[Version::new(1, 0, 2)] }, "older filters misread journal entries")
        }
        (Software::OpenSsh, _) => releases(
            const { &[Version::new(9, 6, 0)] },
            "before 9.6 a man in the middle can drop messages (Terrapin, CVE-2023-48795)",
        ),
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
