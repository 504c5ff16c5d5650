//! The package manager: one transaction at a time, patient with its locks, and no service started by it.

use crate::files::{self, Ownership};
use crate::host::Host;
use crate::resource::ResourceError;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// Package lists older than this are fetched anew before something is installed.
const LISTS_LAST: Duration = Duration::from_secs(24 * 60 * 60);
/// How long somebody else may hold the package manager before we give up.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// Asked by maintainer scripts before they start a service.
pub(crate) const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_MARK: &str = "# Written by bastide while it installs packages";

/// Fetches the package lists.
pub(crate) fn update(host: &Host) -> Result<(), ResourceError> {
    patiently(host, &["apt-get", "update"])
}

/// Finishes what an interrupted dpkg left half done.
pub(crate) fn recover(host: &Host) -> Result<(), ResourceError> {
    patiently(host, &["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"])
}

/// Runs a program that fails at once where another one holds a lock, until it gets it.
fn patiently(host: &Host, argv: &[&str]) -> Result<(), ResourceError> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match host.run(argv, None) {
            Ok(_) => return Ok(()),
            Err(error) if lock_holder(&error).is_some() && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(500));
            }
            Err(error) => return Err(explain(error)),
        }
    }
}

/// Whether the package lists were never fetched or are old.
pub(crate) fn lists_are_old(host: &Host) -> bool {
    let fetched = std::fs::metadata(host.path("/var/lib/apt/lists/partial")).and_then(|m| m.modified());
    fetched.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > LISTS_LAST))
        || !has_lists(&host.path("/var/lib/apt/lists"))
}

fn has_lists(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with("Release"))
    })
}

/// The version that would be installed of each of `names`; a package without one is missing from the answer.
pub(crate) fn candidates(
    host: &Host,
    names: &[&str],
    release: Option<&str>,
) -> Result<BTreeMap<String, String>, ResourceError> {
    let mut argv = vec!["apt-cache", "policy"];
    argv.extend(release.iter().flat_map(|release| ["-t", release]));
    argv.extend(names);
    Ok(parse_candidates(&host.run(&argv, None)?))
}

fn parse_candidates(printed: &str) -> BTreeMap<String, String> {
    let mut candidates = BTreeMap::new();
    let mut name = "";
    for line in printed.lines() {
        if let Some(heading) = line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            name = heading;
        } else if let Some(version) = line.strip_prefix("  Candidate: ").filter(|v| *v != "(none)") {
            candidates.insert(name.to_owned(), version.to_owned());
        }
    }
    candidates
}

/// Installs `names` in one transaction that starts no service.
pub(crate) fn install(host: &Host, names: &[&str], release: Option<&str>) -> Result<(), ResourceError> {
    let lock_wait = format!("DPkg::Lock::Timeout={}", LOCK_WAIT.as_secs());
    let mut argv = vec!["apt-get", "install", "-y", "--no-install-recommends"];
    argv.extend(["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]);
    argv.extend(["-o", &lock_wait]);
    argv.extend(release.iter().flat_map(|release| ["-t", release]));
    argv.extend(names);
    let held_back = hold_services_back(host)?;
    let installed = host.run(&argv, None).map(drop).map_err(explain);
    if held_back {
        remove_policy(host)?;
    }
    installed
}

/// Whether an interrupted installation left our policy behind.
pub(crate) fn policy_left(host: &Host) -> bool {
    std::fs::read_to_string(host.path(POLICY)).is_ok_and(|policy| policy.contains(POLICY_MARK))
}

/// Removes the policy that keeps services from starting.
pub(crate) fn remove_policy(host: &Host) -> Result<(), ResourceError> {
    std::fs::remove_file(host.path(POLICY)).map_err(|error| files::refused(format!("remove {POLICY}"), error))
}

/// Keeps new services from starting with a package's own configuration; they start once ours is in place.
///
/// What already runs may be restarted, so that an upgrade takes effect. A policy of the host's own is left alone.
fn hold_services_back(host: &Host) -> Result<bool, ResourceError> {
    let path = host.path(POLICY);
    if path.exists() && !policy_left(host) {
        return Ok(false);
    }
    let list =
        ["systemctl", "list-units", "--state=active", "--plain", "--no-legend", "--type=service,socket"];
    let units = host.run(&list, None)?;
    let running: Vec<&str> = units.lines().filter_map(|line| line.split_whitespace().next()).collect();
    files::replace(&path, policy(std::process::id(), &running).as_bytes(), Ownership::root(0o755))?;
    Ok(true)
}

fn policy(agent: u32, running: &[&str]) -> String {
    let running: Vec<&str> = running.iter().map(|unit| unit.trim_end_matches(".service")).collect();
    format!(
        "#!/bin/sh\n{POLICY_MARK}, so that services start only when their configuration is in place.\n\
         # Left over? It does nothing once process {agent} is gone, and may be removed.\n\
         kill -0 {agent} 2>/dev/null || exit 0\n\
         case \"$1\" in *.timer|*.path|*.mount) exit 0 ;; esac\n\
         case ' {} ' in *\" ${{1%.service}} \"*) exit 0 ;; esac\n\
         exit 101\n",
        running.join(" ")
    )
}

/// Says in plain words what apt means, where we know it.
fn explain(error: ResourceError) -> ResourceError {
    if let Some(holder) = lock_holder(&error) {
        return ResourceError::Other(format!(
            "the package manager is in use by {holder}, still after {} s: let it finish (or stop it, if it hangs) \
             and run again",
            LOCK_WAIT.as_secs()
        ));
    }
    let ResourceError::Program { output, .. } = &error else { return error };
    if let Some(name) = missing_package(output) {
        return missing(&name);
    }
    if output.contains("No space left on device") || output.contains("don't have enough free space") {
        return ResourceError::Other(format!(
            "the disk is full: make room (`df -h`, `apt-get clean`) and run again; apt said: {output}"
        ));
    }
    error
}

/// A package that no source of the host has.
pub(crate) fn missing(name: &str) -> ResourceError {
    ResourceError::Other(format!(
        "package `{name}` is in none of this host's package sources: see `apt-cache policy {name}`; \
         check the spelling, that the repository which has it comes before it, and that `os` in the platform file is \
         what the host runs (`/etc/os-release`)"
    ))
}

/// Who holds the lock that apt could not get.
fn lock_holder(error: &ResourceError) -> Option<String> {
    let ResourceError::Program { output, .. } = error else { return None };
    // apt-get tells the process and its name, dpkg the process alone.
    if let Some(pid) = output.split("locked by another process with pid ").nth(1) {
        return pid.split_whitespace().next().map(|pid| format!("process {pid}"));
    }
    if !output.contains("Could not get lock") && !output.contains("Unable to lock") {
        return None;
    }
    let held = output.split("held by ").nth(1).and_then(|rest| rest.lines().next());
    Some(held.map_or("another program".to_owned(), |held| held.trim_end_matches('.').to_owned()))
}

fn missing_package(output: &str) -> Option<String> {
    let after = |text: &str| {
        let rest = &output[output.find(text)? + text.len()..];
        Some(rest.split(['\n', '\'', ' ']).next()?.to_owned())
    };
    after("Unable to locate package ")
        .or_else(|| output.contains("has no installation candidate").then(|| after("Package '")).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(output: &str) -> String {
        let program = "apt-get install x".to_owned();
        explain(ResourceError::Program { program, status: "exit status: 100".into(), output: output.into() })
            .to_string()
    }

    #[test]
    fn the_holder_of_the_lock_is_named() {
        let message = said(
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)\n\
             E: Unable to acquire the dpkg frontend lock",
        );
        assert!(message.contains("process 812 (unattended-upgr)"), "{message}");
        let message =
            said("dpkg: error: dpkg frontend lock was locked by another process with pid 77\nNote: …");
        assert!(message.contains("by process 77,"), "{message}");
    }

    #[test]
    fn the_missing_package_is_named() {
        assert!(said("E: Unable to locate package valkei").contains("`valkei`"));
        assert!(said("E: Package 'caddy' has no installation candidate").contains("`caddy`"));
        assert!(said("E: something else").contains("something else"));
    }

    #[test]
    fn candidates_of_policy() {
        let printed = "caddy:\n  Installed: (none)\n  Candidate: 2.11.4-1\n  Version table:\n     2.11.4-1 500\n\
            loki:\n  Installed: (none)\n  Candidate: (none)\n";
        let candidates = parse_candidates(printed);
        assert_eq!(candidates["caddy"], "2.11.4-1");
        assert!(!candidates.contains_key("loki"));
    }

    #[test]
    fn the_policy_stops_new_services_only_while_the_agent_lives() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("policy");
        let answer = |agent: u32, unit: &str| {
            std::fs::write(&path, policy(agent, &["ssh.service", "dbus.socket"])).unwrap();
            std::process::Command::new("sh").arg(&path).args([unit, "start"]).status().unwrap().code()
        };
        let alive = std::process::id();
        assert_eq!(answer(alive, "caddy.service"), Some(101));
        assert_eq!(answer(alive, "postgresql"), Some(101));
        assert_eq!(answer(alive, "ssh.service"), Some(0));
        assert_eq!(answer(alive, "ssh"), Some(0));
        assert_eq!(answer(alive, "dbus.socket"), Some(0));
        assert_eq!(answer(alive, "logrotate.timer"), Some(0));
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        assert_eq!(answer(gone.id(), "caddy.service"), Some(0));
    }
}
