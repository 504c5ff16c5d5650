use super::*;
use crate::resource::testing::Scratch;
use crate::resource::{File, Resource};
use std::time::SystemTime;

const NAME: &str = "caddy.service";

fn active() -> UnitState {
    let word = str::to_owned;
    UnitState {
        load: word("loaded"),
        active: word("active"),
        sub: word("running"),
        file: word("enabled"),
        can_reload: true,
        started: Some(SystemTime::UNIX_EPOCH),
        ..UnitState::default()
    }
}

fn found(scratch: &mut Scratch, unit: &Unit, state: UnitState) -> Option<String> {
    scratch.host.facts.pretend_unit(NAME, state);
    unit.observe(&mut scratch.host).unwrap().difference.map(|difference| difference.summary)
}

/// A unit that depends on one file, which is in place and observed.
fn dependent(scratch: &mut Scratch) -> (Unit, ResourceId) {
    let file = Resource::new("edge", File::new("/etc/caddy/Caddyfile", ":80").owned_by("me", "us", 0o644));
    scratch.host.prepare(std::slice::from_ref(&file));
    scratch.converge(file.spec.manage());
    let fingerprint = file.spec.manage().observe(&mut scratch.host).unwrap().fingerprint;
    scratch.host.fingerprints.insert(file.id(), fingerprint);
    (Unit::running(NAME).restarted_by([&file]), file.id())
}

fn remember(scratch: &Scratch, unit: &Unit) {
    let memory: BTreeMap<_, _> =
        unit.restart_on.iter().map(|id| (id, &scratch.host.fingerprints[id])).collect();
    scratch.write(&format!("{MEMORY}/{NAME}"), &serde_json::to_string(&memory).unwrap());
}

#[test]
fn states_that_differ() {
    let mut scratch = Scratch::new();
    let unit = Unit::running(NAME);
    let with = |change: fn(&mut UnitState)| {
        let mut state = active();
        change(&mut state);
        state
    };
    let mut seen = |state| found(&mut scratch, &unit, state).unwrap_or_default();
    assert_eq!(seen(active()), "");
    assert_eq!(seen(with(|s| s.active = "inactive".into())), "inactive, should run");
    let failed = with(|s| (s.active, s.result) = ("failed".into(), "exit-code".into()));
    assert_eq!(seen(failed), "failed (exit-code), should run");
    assert_eq!(seen(with(|s| s.file = "disabled".into())), "disabled, should start at boot");
    assert_eq!(seen(with(|s| s.file = "static".into())), "");
    let masked = with(|s| (s.load, s.active) = ("masked".into(), "inactive".into()));
    assert_eq!(seen(masked), "masked, inactive, should run");
    assert_eq!(seen(with(|s| s.load = "not-found".into())), "not there yet, will be enabled and started");
    assert_eq!(seen(with(|s| s.needs_daemon_reload = true)), "its files changed since systemd read them");
    assert_eq!(seen(with(|s| s.active = "activating".into())), "activating, should run");
}

#[test]
fn a_unit_that_must_not_run() {
    let mut scratch = Scratch::new();
    let unit = Unit::stopped(NAME);
    let summary = found(&mut scratch, &unit, active()).unwrap();
    assert_eq!(summary, "enabled, should not start at boot, running, should be stopped");
    assert_eq!(
        found(&mut scratch, &unit, UnitState { load: "not-found".into(), ..UnitState::default() }),
        None
    );
    let failed = UnitState { active: "failed".into(), file: "disabled".into(), ..active() };
    assert_eq!(found(&mut scratch, &unit, failed), None);
}

#[test]
fn started_with_the_present_files_is_the_same() {
    let mut scratch = Scratch::new();
    let (unit, _) = dependent(&mut scratch);
    remember(&scratch, &unit);
    assert_eq!(found(&mut scratch, &unit, active()), None);
}

#[test]
fn started_with_other_files_needs_a_restart_even_in_a_later_run() {
    let mut scratch = Scratch::new();
    let (unit, id) = dependent(&mut scratch);
    remember(&scratch, &unit);
    scratch.host.fingerprints.insert(id.clone(), "other".into());
    let difference = {
        scratch.host.facts.pretend_unit(NAME, active());
        unit.observe(&mut scratch.host).unwrap().difference.unwrap()
    };
    assert_eq!(difference.summary, "restart, it runs with something old");
    assert_eq!(difference.lines, [format!("changed: {id}")]);
}

#[test]
fn restarted_by_somebody_else_after_the_change_is_the_same() {
    let mut scratch = Scratch::new();
    let (unit, id) = dependent(&mut scratch);
    remember(&scratch, &unit);
    scratch.host.fingerprints.insert(id, "other".into());
    let later = SystemTime::now() + Duration::from_secs(5);
    assert_eq!(found(&mut scratch, &unit, UnitState { started: Some(later), ..active() }), None);
}

#[test]
fn with_nothing_remembered_the_time_of_the_start_decides() {
    let mut scratch = Scratch::new();
    let (unit, _) = dependent(&mut scratch);
    assert!(found(&mut scratch, &unit, active()).unwrap().starts_with("restart"));
    let later = SystemTime::now() + Duration::from_secs(5);
    assert_eq!(found(&mut scratch, &unit, UnitState { started: Some(later), ..active() }), None);
}

#[test]
fn a_plan_shows_the_restart_that_a_planned_change_brings() {
    let mut scratch = Scratch::new();
    let (unit, id) = dependent(&mut scratch);
    remember(&scratch, &unit);
    scratch.host.fingerprints.remove(&id);
    scratch.host.planned(id);
    assert!(found(&mut scratch, &unit, active()).unwrap().starts_with("restart"));
}

#[test]
fn a_reload_is_enough_where_the_unit_can() {
    let mut scratch = Scratch::new();
    let (unit, _) = dependent(&mut scratch);
    let unit = Unit { reload_on: unit.restart_on, restart_on: vec![], ..unit };
    assert!(found(&mut scratch, &unit, active()).unwrap().starts_with("reload"));
    let cannot = UnitState { can_reload: false, ..active() };
    assert!(found(&mut scratch, &unit, cannot).unwrap().starts_with("restart"));
}

#[test]
fn a_dependency_that_was_never_observed_is_an_error() {
    let mut scratch = Scratch::new();
    scratch.host.facts.pretend_unit(NAME, active());
    let unit = Unit { restart_on: vec![ResourceId::new("file", "/nowhere")], ..Unit::running(NAME) };
    assert!(unit.observe(&mut scratch.host).unwrap_err().to_string().contains("file /nowhere"));
}

#[test]
fn a_change_back_to_what_was_remembered_needs_a_restart() {
    let mut scratch = Scratch::new();
    let (unit, _) = dependent(&mut scratch);
    remember(&scratch, &unit);
    let file = Resource::new("edge", File::new("/etc/caddy/Caddyfile", ":80").owned_by("me", "us", 0o644));
    let resources = [file, Resource::new("edge", unit.clone())];
    scratch.host.prepare(&resources);
    assert_eq!(found(&mut scratch, &unit, active()), None);
    scratch.host.note_change(&resources[0]);
    assert!(found(&mut scratch, &unit, active()).unwrap().starts_with("restart"));
}
