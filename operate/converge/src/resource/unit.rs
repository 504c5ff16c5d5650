//! systemd units.

use crate::difference::Difference;
use crate::files::{self, Ownership};
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use crate::systemd::UnitState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a unit may take to start, in seconds.
const START_WITHIN: &str = "60";
/// How long a service that does not tell when it is ready must run to count as started.
const SETTLES_WITHIN: Duration = Duration::from_millis(300);
const MEMORY: &str = "/var/lib/bastide/started";

/// A unit's state, and what it must be restarted or reloaded for.
///
/// After a (re)start or reload the agent remembers the fingerprints of what the unit depends on, in
/// `/var/lib/bastide/started/<unit>`. If they differ at the next observation, the unit runs with something old, and
/// that is a difference: also when the run that changed the file was interrupted before the restart. Two cases need
/// no restart, because the unit began to start after its dependency last changed on disk: somebody restarted it by
/// hand, or the host's own upgrade of a package did. That rule alone decides where nothing is remembered yet; a
/// dependency that no file dates then counts as changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Full name, for example `valkey-server@durable.service`.
    pub name: String,
    /// Whether it starts at boot.
    pub enabled: bool,
    /// Whether it runs now.
    pub running: bool,
    /// Resources of this host whose change needs a restart.
    pub restart_on: Vec<ResourceId>,
    /// Resources of this host for whose change a reload is enough.
    pub reload_on: Vec<ResourceId>,
}

impl Unit {
    /// A unit that is enabled and runs.
    pub fn running(name: &str) -> Self {
        Self { name: name.to_owned(), enabled: true, running: true, restart_on: vec![], reload_on: vec![] }
    }

    /// A unit that is neither enabled nor running.
    pub fn stopped(name: &str) -> Self {
        Self { name: name.to_owned(), enabled: false, running: false, restart_on: vec![], reload_on: vec![] }
    }

    /// The same unit, restarted when one of `resources` changes.
    pub fn restarted_by<'a>(mut self, resources: impl IntoIterator<Item = &'a super::Resource>) -> Self {
        self.restart_on.extend(resources.into_iter().map(super::Resource::id));
        self
    }

    /// The same unit, reloaded when one of `resources` changes.
    pub fn reloaded_by<'a>(mut self, resources: impl IntoIterator<Item = &'a super::Resource>) -> Self {
        self.reload_on.extend(resources.into_iter().map(super::Resource::id));
        self
    }
}

impl Manage for Unit {
    fn id(&self) -> ResourceId {
        ResourceId::new("unit", &self.name)
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let state = host.facts.unit(&self.name)?;
        let mut findings = self.compare(&state);
        let mut lines = Vec::new();
        if self.running && state.is_active() {
            let stale = self.stale(host, &state)?;
            if let Some(verb) = stale.verb(&state) {
                findings.push(format!("{verb}, it runs with something old"));
                lines.extend(stale.restart.iter().chain(&stale.reload).map(|id| format!("changed: {id}")));
            }
        }
        Ok(match Difference::of(findings) {
            Some(difference) => Observed::differs(Difference { lines, ..difference }),
            // A restart of one unit is no reason to restart another: systemd's own `PartOf=` is for that.
            None => Observed::same(state.active),
        })
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        host.facts.forget_units();
        let mut state = host.facts.unit(&self.name)?;
        if state.needs_daemon_reload || !state.exists() {
            host.run(&["systemctl", "daemon-reload"], None)?;
            host.facts.forget_units();
            state = host.facts.unit(&self.name)?;
        }
        if !state.exists() && (self.running || self.enabled) {
            return Err(ResourceError::Other(format!(
                "there is no unit {}: the package or file that brings it must come first",
                self.name
            )));
        }
        if (self.running || self.enabled) && state.is_masked() {
            host.run(&["systemctl", "unmask", "--runtime", &self.name], None)?;
            host.run(&["systemctl", "unmask", &self.name], None)?;
            host.facts.forget_units();
            state = host.facts.unit(&self.name)?;
        }
        self.enable(host, &state)?;
        let result = if self.running { self.bring_up(host, &state) } else { self.bring_down(host, &state) };
        host.facts.forget_units();
        result
    }
}

/// Resources that changed since the unit started or was reloaded.
#[derive(Default)]
struct Stale {
    restart: Vec<ResourceId>,
    reload: Vec<ResourceId>,
}

impl Stale {
    /// What has to be done about it.
    fn verb(&self, state: &UnitState) -> Option<&'static str> {
        match (self.restart.is_empty(), self.reload.is_empty()) {
            (true, true) => None,
            (true, false) if state.can_reload => Some("reload"),
            _ => Some("restart"),
        }
    }
}

impl Unit {
    /// What differs in the unit itself.
    fn compare(&self, state: &UnitState) -> Vec<String> {
        let mut findings = Vec::new();
        let wanted = self.running || self.enabled;
        if !state.exists() {
            if wanted {
                findings.push("not there yet, will be enabled and started".to_owned());
            }
            return findings;
        }
        if wanted && state.is_masked() {
            findings.push("masked".to_owned());
        } else if self.enabled && !state.starts_at_boot() {
            findings.push(format!("{}, should start at boot", or_unknown(&state.file)));
        } else if !self.enabled && state.is_enabled() {
            findings.push("enabled, should not start at boot".to_owned());
        }
        if self.running && !state.is_active() {
            let reason =
                if state.active == "failed" { format!(" ({})", state.result) } else { String::new() };
            findings.push(format!("{}{reason}, should run", or_unknown(&state.active)));
        } else if !self.running && (state.is_active() || state.active == "activating") {
            findings.push("running, should be stopped".to_owned());
        }
        if wanted && state.needs_daemon_reload {
            findings.push("its files changed since systemd read them".to_owned());
        }
        findings
    }

    fn stale(&self, host: &Host, state: &UnitState) -> Result<Stale, ResourceError> {
        let memory = self.recall(host);
        let is_stale = |id: &&ResourceId| -> bool {
            let Some(present) = host.fingerprints.get(*id) else { return true };
            if memory.as_ref().is_some_and(|memory| memory.get(*id) == Some(present)) {
                return false;
            }
            // Dated to the second: what happened within one may have come in either order.
            let started_later =
                host.last_changed(id).zip(state.started).is_some_and(|(changed, started)| started > changed);
            !started_later
        };
        for id in self.restart_on.iter().chain(&self.reload_on) {
            if !host.fingerprints.contains_key(id) && !host.changed.contains(id) {
                return Err(ResourceError::Other(format!(
                    "{} depends on {id}, which is not among the resources before it: its component must put it there",
                    self.name
                )));
            }
        }
        Ok(Stale {
            restart: self.restart_on.iter().filter(is_stale).cloned().collect(),
            reload: self.reload_on.iter().filter(is_stale).cloned().collect(),
        })
    }

    fn enable(&self, host: &Host, state: &UnitState) -> Result<(), ResourceError> {
        if self.enabled && !state.starts_at_boot() {
            host.run(&["systemctl", "enable", &self.name], None)?;
        } else if !self.enabled && state.is_enabled() {
            host.run(&["systemctl", "disable", &self.name], None)?;
        }
        Ok(())
    }

    fn bring_up(&self, host: &mut Host, state: &UnitState) -> Result<(), ResourceError> {
        let verb = if state.is_active() {
            self.stale(host, state)?.verb(state)
        } else {
            if state.active == "failed" {
                // A unit that failed too often refuses to start until its failures are forgotten.
                host.run(&["systemctl", "reset-failed", &self.name], None)?;
            }
            Some("start")
        };
        if let Some(verb) = verb {
            let argv = ["timeout", START_WITHIN, "systemctl", verb, &self.name];
            if let Err(error) = host.run(&argv, None) {
                return Err(self.failed_to(host, verb, &error.to_string()));
            }
            self.await_running(host, verb)?;
        }
        self.remember(host)
    }

    fn bring_down(&self, host: &mut Host, state: &UnitState) -> Result<(), ResourceError> {
        if state.is_active() || state.active == "activating" {
            host.run(&["systemctl", "stop", &self.name], None)?;
        }
        match std::fs::remove_file(self.memory(host)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ResourceError::io(format!("forget that {} was started", self.name))(error))
            }
            _ => Ok(()),
        }
    }

    /// Sees the unit run. systemd calls a simple service started once it has a process, so that one must also live.
    fn await_running(&self, host: &mut Host, verb: &str) -> Result<(), ResourceError> {
        let started = Instant::now();
        loop {
            host.facts.forget_units();
            let state = host.facts.unit(&self.name)?;
            let tells_when_ready = !matches!(state.kind.as_str(), "simple" | "exec" | "idle");
            if state.is_active() && (tells_when_ready || started.elapsed() > SETTLES_WITHIN) {
                return Ok(());
            }
            if !state.is_active() {
                let found = format!("it is {} ({}, {})", state.active, state.sub, state.result);
                return Err(self.failed_to(host, verb, &found));
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn failed_to(&self, host: &Host, verb: &str, found: &str) -> ResourceError {
        let journal = ["journalctl", "-u", &self.name, "-n", "15", "--no-pager", "-o", "cat"];
        let said = host.run(&journal, None).unwrap_or_default();
        ResourceError::Other(format!(
            "{verb} {}: {found}; its last words: {}\nsee `journalctl -u {}`",
            self.name,
            said.trim_end(),
            self.name
        ))
    }

    fn memory(&self, host: &Host) -> PathBuf {
        host.path(&format!("{MEMORY}/{}", self.name))
    }

    /// Fingerprints with which the unit was last started or reloaded; none where nothing sound is remembered.
    fn recall(&self, host: &Host) -> Option<BTreeMap<ResourceId, String>> {
        serde_json::from_slice(&std::fs::read(self.memory(host)).ok()?).ok()
    }

    /// Forgets what the unit was started with of one resource that has just been changed.
    ///
    /// Its content may be what is remembered, and still not what runs: somebody edited it and reloaded the unit.
    pub(crate) fn forget(&self, host: &Host, id: &ResourceId) {
        let Some(mut memory) = self.recall(host) else { return };
        if memory.remove(id).is_none() {
            return;
        }
        let path = self.memory(host);
        let written = serde_json::to_vec_pretty(&memory)
            .ok()
            .and_then(|text| files::replace(&path, &text, Ownership::root(0o600)).ok());
        if written.is_none() {
            // With nothing remembered the unit counts as started with something older.
            let _gone = std::fs::remove_file(path);
        }
    }

    fn remember(&self, host: &Host) -> Result<(), ResourceError> {
        let dependencies = self.restart_on.iter().chain(&self.reload_on);
        let known: BTreeMap<&ResourceId, &String> =
            dependencies.filter_map(|id| Some((id, host.fingerprints.get(id)?))).collect();
        let text = serde_json::to_vec_pretty(&known).map_err(|error| {
            ResourceError::Other(format!("write what {} was started with: {error}", self.name))
        })?;
        files::replace(&self.memory(host), &text, Ownership::root(0o600))
    }
}

fn or_unknown(word: &str) -> &str {
    if word.is_empty() { "not installable" } else { word }
}

#[cfg(test)]
#[path = "unit_tests.rs"]
mod tests;
