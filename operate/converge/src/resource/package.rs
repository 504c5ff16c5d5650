//! Packages.

use crate::apt;
use crate::difference::Difference;
use crate::dpkg;
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::path::PathBuf;

/// Packages that must be installed.
///
/// Their services are not started by the installation: a [`crate::resource::Unit`] starts them once their
/// configuration is in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    /// Names; a resource holds what belongs together and is installed by one transaction.
    pub names: Vec<String>,
    /// Release to take them from where it is not the default one, for example `trixie-backports`.
    pub release: Option<String>,
    /// Least version of the first package, in the packager's notation (`dpkg --compare-versions`).
    pub at_least: Option<String>,
}

impl Manage for Packages {
    fn id(&self) -> ResourceId {
        ResourceId::new("packages", &self.names.join(" "))
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let mut lines = self.lacking(host)?.into_iter().map(|(_, line)| line).collect::<Vec<_>>();
        let installed = host.facts.packages()?;
        let mut summary = Vec::new();
        if !lines.is_empty() {
            summary.push("install".to_owned());
        }
        if installed.interrupted {
            summary.push("finish the package manager's interrupted work".to_owned());
        }
        let versions: Vec<String> = self
            .names
            .iter()
            .filter_map(|name| installed.package(name).map(|package| format!("{name}={}", package.version)))
            .collect();
        if apt::policy_left(host) {
            summary.push("clean up after an interrupted installation".to_owned());
            lines.push(format!("-{}", apt::POLICY));
        }
        Ok(match Difference::of(summary) {
            Some(difference) => Observed::differs(Difference { lines, ..difference }),
            None => Observed::same(versions.join(" ")),
        })
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        if apt::policy_left(host) {
            apt::remove_policy(host)?;
        }
        if host.facts.packages()?.interrupted {
            apt::recover(host)?;
            host.facts.forget_all();
        }
        let lacking: Vec<String> = self.lacking(host)?.into_iter().map(|(name, _)| name).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = lacking.iter().map(String::as_str).collect();
        let mut fresh = apt::lists_are_old(host);
        if fresh {
            apt::update(host)?;
        }
        if let Err(error) = self.offered(host, &names) {
            if fresh {
                return Err(error);
            }
            apt::update(host)?;
            self.offered(host, &names)?;
            fresh = true;
        }
        let installed = apt::install(host, &names, self.release.as_deref());
        host.facts.forget_all();
        match installed {
            // Lists that name files which the archive has replaced since.
            Err(ResourceError::Program { output, .. }) if output.contains("404") && !fresh => {
                apt::update(host)?;
                apt::install(host, &names, self.release.as_deref())
            }
            other => other,
        }
    }

    fn traces(&self) -> Vec<PathBuf> {
        // dpkg rewrites a package's list of files when it unpacks it. For a package of one architecture out of
        // several the name carries that too, and then nothing is told.
        self.names.iter().map(|name| PathBuf::from(format!("/var/lib/dpkg/info/{name}.list"))).collect()
    }
}

impl Packages {
    /// Packages that must be installed or upgraded, each with the line that says so.
    fn lacking(&self, host: &mut Host) -> Result<Vec<(String, String)>, ResourceError> {
        let installed = host.facts.packages()?;
        let mut lacking = Vec::new();
        for (index, name) in self.names.iter().enumerate() {
            let floor = self.at_least.as_ref().filter(|_| index == 0);
            let wanted = floor.map(|floor| format!(" ≥ {floor}")).unwrap_or_default();
            let line = match installed.package(name) {
                Some(package) if floor.is_none_or(|f| dpkg::compare(&package.version, f).is_ge()) => continue,
                Some(package) => format!("+{name}{wanted} (installed: {})", package.version),
                None => match installed.state(name) {
                    None | Some("not-installed" | "config-files") => format!("+{name}{wanted}"),
                    Some(state) => format!("+{name}{wanted} (now {state})"),
                },
            };
            lacking.push((name.clone(), line));
        }
        Ok(lacking)
    }

    /// Refuses where a package, or a version of it that is new enough, is not to be had.
    fn offered(&self, host: &Host, names: &[&str]) -> Result<(), ResourceError> {
        let candidates = apt::candidates(host, names, self.release.as_deref())?;
        for name in names {
            let Some(candidate) = candidates.get(*name) else { return Err(apt::missing(name)) };
            let floor = self.at_least.as_ref().filter(|_| self.names.first().is_some_and(|n| n == name));
            if let Some(floor) = floor
                && dpkg::compare(candidate, floor) == Ordering::Less
            {
                return Err(ResourceError::Other(format!(
                    "package `{name}` is needed in version {floor} or newer, and this host's package sources have \
                     {candidate}: see `apt-cache policy {name}`; a vendor's repository or a backport must come first"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::testing::Scratch;

    const STATUS: &str = "/var/lib/dpkg/status";
    const CADDY: &str = "Package: caddy\nStatus: install ok installed\nVersion: 2.6.2-5\n";

    fn packages(at_least: Option<&str>) -> Packages {
        Packages {
            names: vec!["caddy".into(), "fail2ban".into()],
            release: None,
            at_least: at_least.map(str::to_owned),
        }
    }

    #[test]
    fn tells_what_is_missing_and_what_is_old() {
        let mut scratch = Scratch::new();
        scratch.write(STATUS, CADDY);
        let difference = packages(Some("2.11.2")).observe(&mut scratch.host).unwrap().difference.unwrap();
        assert_eq!(difference.lines, ["+caddy ≥ 2.11.2 (installed: 2.6.2-5)", "+fail2ban"]);
        let difference = packages(Some("2.6")).observe(&mut scratch.host).unwrap().difference.unwrap();
        assert_eq!(difference.lines, ["+fail2ban"]);
    }

    #[test]
    fn installed_is_the_same_and_its_versions_are_the_fingerprint() {
        let mut scratch = Scratch::new();
        let status = format!("{CADDY}\nPackage: fail2ban\nStatus: install ok installed\nVersion: 1.1.1-1\n");
        scratch.write(STATUS, &status);
        let observed = packages(None).observe(&mut scratch.host).unwrap();
        assert_eq!(observed, Observed::same("caddy=2.6.2-5 fail2ban=1.1.1-1"));
    }

    #[test]
    fn interruptions_are_differences() {
        let mut scratch = Scratch::new();
        let status = format!("{CADDY}\nPackage: fail2ban\nStatus: install ok half-configured\nVersion: 1\n");
        scratch.write(STATUS, &status);
        scratch.write(
            "/usr/sbin/policy-rc.d",
            "#!/bin/sh\n# Written by bastide while it installs packages, …\n",
        );
        let difference = packages(None).observe(&mut scratch.host).unwrap().difference.unwrap();
        assert!(difference.summary.contains("interrupted work"), "{}", difference.summary);
        assert!(difference.summary.contains("clean up"), "{}", difference.summary);
        assert_eq!(difference.lines, ["+fail2ban (now half-configured)", "-/usr/sbin/policy-rc.d"]);
    }
}
