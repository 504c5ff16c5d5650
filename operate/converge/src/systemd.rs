//! What systemd says of units.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Properties read of every unit, in one call.
const PROPERTIES: &str = "--property=Names,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,CanReload,Type,\
                          Result,InactiveExitTimestamp";

/// A unit's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked`, `bad-setting`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, …
    pub active: String,
    /// The finer state, for example `running`, `exited`, `auto-restart`.
    pub sub: String,
    /// `enabled`, `disabled`, `static`, `masked`, …; empty where there is no such file.
    pub file: String,
    /// Whether the unit's files changed since systemd read them.
    pub needs_daemon_reload: bool,
    /// Whether it can be reloaded.
    pub can_reload: bool,
    /// A service's type, for example `notify`; empty for other units.
    pub kind: String,
    /// How it ended last: `success`, `exit-code`, …
    pub result: String,
    /// When it last began to start, to the second.
    pub started: Option<SystemTime>,
}

impl UnitState {
    /// Whether it starts at boot, or whether that is not for it to say (`static`, `generated`).
    pub fn starts_at_boot(&self) -> bool {
        matches!(self.file.as_str(), "enabled" | "static" | "alias" | "indirect" | "generated")
    }

    /// Whether something enabled it.
    pub fn is_enabled(&self) -> bool {
        matches!(self.file.as_str(), "enabled" | "enabled-runtime" | "linked" | "linked-runtime")
    }

    /// Whether it is masked, for good or until the next boot.
    pub fn is_masked(&self) -> bool {
        self.load == "masked" || self.file.starts_with("masked")
    }

    /// Whether it runs, or is a one-off that ran and counts as active.
    pub fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }

    /// Whether there is such a unit.
    pub fn exists(&self) -> bool {
        self.load != "not-found"
    }
}

/// The command line that shows `names`, for [`parse`].
pub fn show<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut argv = vec!["systemctl", "show", "--timestamp=unix", PROPERTIES, "--"];
    argv.extend(names);
    argv
}

/// Reads what `systemctl show` printed of `names`: a block of lines each, in the order asked.
pub fn parse(names: &[&str], printed: &str) -> BTreeMap<String, UnitState> {
    let blocks = printed.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    names.iter().map(|name| (*name).to_owned()).zip(blocks.map(parse_block)).collect()
}

fn parse_block(block: &str) -> UnitState {
    let mut state = UnitState::default();
    for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
        let text = || value.to_owned();
        match key {
            "LoadState" => state.load = text(),
            "ActiveState" => state.active = text(),
            "SubState" => state.sub = text(),
            "UnitFileState" => state.file = text(),
            "NeedDaemonReload" => state.needs_daemon_reload = value == "yes",
            "CanReload" => state.can_reload = value == "yes",
            "Type" => state.kind = text(),
            "Result" => state.result = text(),
            "InactiveExitTimestamp" => state.started = parse_timestamp(value),
            _ => {}
        }
    }
    state
}

/// `@1764000000`, in seconds since 1970; empty for a unit that never started.
fn parse_timestamp(value: &str) -> Option<SystemTime> {
    let seconds = value.strip_prefix('@')?.split('.').next()?.parse().ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Type=notify\nResult=success\nCanReload=yes\nInactiveExitTimestamp=@1764000000\n\
        Names=ssh.service sshd.service\nLoadState=loaded\nActiveState=active\nSubState=running\n\
        UnitFileState=enabled\nNeedDaemonReload=no\n\nNames=nope.service\nLoadState=not-found\nActiveState=inactive\n\
        SubState=dead\nUnitFileState=\nNeedDaemonReload=no\nInactiveExitTimestamp=\n";

    #[test]
    fn blocks_in_the_order_asked() {
        let units = parse(&["sshd.service", "nope.service"], PRINTED);
        let ssh = &units["sshd.service"];
        assert!(ssh.is_active() && ssh.is_enabled() && ssh.can_reload && ssh.exists());
        assert_eq!(ssh.started, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000)));
        let nope = &units["nope.service"];
        assert!(!nope.exists() && !nope.is_active() && nope.started.is_none());
    }

    #[test]
    fn static_units_need_no_enabling() {
        let state = |file: &str| UnitState { file: file.to_owned(), ..UnitState::default() };
        assert!(state("static").starts_at_boot() && !state("static").is_enabled());
        assert!(!state("disabled").starts_at_boot() && !state("linked").starts_at_boot());
        assert!(state("masked-runtime").is_masked());
    }
}
