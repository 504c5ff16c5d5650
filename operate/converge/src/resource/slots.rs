//! Slots: instances of one unit of which exactly one runs.

use crate::difference::Difference;
use crate::files::{self, Ownership};
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use crate::systemd::UnitState;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where it is remembered with what an instance was started.
const MEMORY: &str = "/var/lib/bastide/slots";
/// How long a started instance may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often it is asked whether it is ready.
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// Instances of a template of which exactly one runs and starts at boot; which one does not matter.
///
/// When something that it was started with has changed, another instance is started, and the old one is stopped once
/// the new one is ready: those who are served notice nothing, and an instance that never gets ready replaces nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// The template up to the `@`, for example `app`.
    pub template: String,
    /// The instances; the first one runs where none does.
    pub slots: Vec<Slot>,
    /// Resources of this host whose change needs a fresh instance.
    pub restart_on: Vec<ResourceId>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Its name, the part after the `@`.
    pub name: String,
    /// Command that succeeds once it can serve.
    pub ready: Vec<String>,
}

/// What systemd says of an instance, and whether it was started with what is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    active: bool,
    /// Not at rest: it runs, starts, stops, or waits for its next attempt.
    occupied: bool,
    enabled: bool,
    current: bool,
}

impl Slots {
    /// Full names of the instances' units.
    pub fn units(&self) -> Vec<String> {
        self.slots.iter().map(|slot| self.unit(slot)).collect()
    }

    fn unit(&self, slot: &Slot) -> String {
        format!("{}@{}.service", self.template, slot.name)
    }

    fn memory(&self, host: &Host, slot: &Slot) -> PathBuf {
        host.path(&format!("{MEMORY}/{}", self.unit(slot)))
    }

    /// What an instance that starts now is started with; none where something of it is still to be changed.
    fn ingredients(&self, host: &Host) -> Option<String> {
        let line = |id: &ResourceId| Some(format!("{id} {}\n", host.fingerprints.get(id)?));
        self.restart_on.iter().map(line).collect()
    }

    fn states(&self, host: &mut Host) -> Result<Vec<State>, ResourceError> {
        let ingredients = self.ingredients(host);
        let of = |slot: &Slot| {
            let remembered = std::fs::read_to_string(self.memory(host, slot)).ok();
            let current = remembered.is_some() && remembered == ingredients;
            Ok(state(&host.facts.unit(&self.unit(slot))?, current))
        };
        self.slots.iter().map(of).collect()
    }

    /// Starts an instance and waits until it is ready; one that does not get ready is stopped again.
    fn start(&self, host: &Host, slot: &Slot) -> Result<(), ResourceError> {
        let unit = self.unit(slot);
        host.run(&["systemctl", "restart", &unit], None)?;
        if let Err(error) = self.await_ready(host, slot) {
            host.run(&["systemctl", "stop", &unit], None)?;
            return Err(error);
        }
        let ingredients = self.ingredients(host).unwrap_or_default();
        files::replace(&self.memory(host, slot), ingredients.as_bytes(), Ownership::root(0o600))?;
        host.run(&["systemctl", "enable", "--quiet", &unit], None).map(drop)
    }

    fn await_ready(&self, host: &Host, slot: &Slot) -> Result<(), ResourceError> {
        let deadline = Instant::now() + READY_WITHIN;
        let ready: Vec<&str> = slot.ready.iter().map(String::as_str).collect();
        loop {
            let Err(last) = host.run(&ready, None) else { return Ok(()) };
            if Instant::now() >= deadline {
                let unit = self.unit(slot);
                return Err(ResourceError::Other(format!(
                    "{unit} was not ready within {} s and was stopped: {last}; see `journalctl -u {unit}`",
                    READY_WITHIN.as_secs()
                )));
            }
            std::thread::sleep(ASKED_EVERY);
        }
    }

    fn stop(&self, host: &Host, slot: &Slot) -> Result<(), ResourceError> {
        let unit = self.unit(slot);
        host.run(&["systemctl", "disable", "--quiet", "--now", &unit], None)?;
        // A unit that failed before is at rest as well, and must not count as running when somebody resets it.
        match std::fs::remove_file(self.memory(host, slot)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ResourceError::io(format!("forget what {unit} was started with"))(error))
            }
            _ => Ok(()),
        }
    }
}

fn state(unit: &UnitState, current: bool) -> State {
    State {
        active: unit.is_active(),
        occupied: !matches!(unit.active.as_str(), "" | "inactive" | "failed"),
        enabled: unit.is_enabled(),
        current,
    }
}

/// The instance to keep: one that runs, preferably with what is there now. None where a fresh one is needed.
fn keeper(states: &[State]) -> Option<usize> {
    states.iter().position(|state| state.active && state.current)
}

/// What is wrong, in a few words; none where exactly one instance runs as it should.
fn complaint(slots: &[Slot], states: &[State]) -> Option<Difference> {
    let named = |chosen: fn(&State) -> bool| -> Vec<&str> {
        slots
            .iter()
            .zip(states)
            .filter(|(_, state)| chosen(state))
            .map(|(slot, _)| slot.name.as_str())
            .collect()
    };
    let occupied = named(|state| state.occupied);
    let wrongly_enabled = named(|state| state.enabled != state.occupied);
    let summary = match occupied.as_slice() {
        [] => "none runs, one should".to_owned(),
        [only] if !states.iter().any(|state| state.active) => format!("{only} does not stay up"),
        [only] if keeper(states).is_none() => format!("{only} runs with what has changed since, replace it"),
        [only] if !wrongly_enabled.is_empty() => format!("{only} runs, and not it alone starts at boot"),
        [_] => return None,
        several => format!("{} run, one should", several.join(" and ")),
    };
    Some(Difference::new(summary))
}

impl Manage for Slots {
    fn id(&self) -> ResourceId {
        ResourceId::new("slots", &self.template)
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let states = self.states(host)?;
        Ok(match complaint(&self.slots, &states) {
            Some(difference) => Observed::differs(difference),
            None => Observed::same(self.ingredients(host).unwrap_or_default()),
        })
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        host.run(&["systemctl", "daemon-reload"], None)?;
        host.facts.forget_units();
        let states = self.states(host)?;
        let chosen = match keeper(&states) {
            Some(keeper) => keeper,
            // A free instance if there is one, so that the old one serves until it is ready.
            None => states.iter().position(|state| !state.occupied).unwrap_or_default(),
        };
        let slot = self.slots.get(chosen).ok_or_else(|| {
            ResourceError::Other(format!("the template {} has no instances", self.template))
        })?;
        if keeper(&states).is_none() {
            self.start(host, slot)?;
        } else {
            host.run(&["systemctl", "enable", "--quiet", &self.unit(slot)], None)?;
        }
        let others = self.slots.iter().zip(&states).enumerate().filter(|(index, _)| *index != chosen);
        for (_, (other, state)) in others {
            if state.occupied || state.enabled {
                self.stop(host, other)?;
            }
        }
        host.facts.forget_units();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: State = State { active: true, occupied: true, enabled: true, current: true };
    const RESTS: State = State { active: false, occupied: false, enabled: false, current: false };

    fn say(states: [State; 2]) -> Option<String> {
        let slot = |name: &str| Slot { name: name.to_owned(), ready: vec!["true".to_owned()] };
        complaint(&[slot("blue"), slot("green")], &states).map(|difference| difference.summary)
    }

    #[test]
    fn either_instance_will_do() {
        assert_eq!(say([RUNS, RESTS]), None);
        assert_eq!(say([RESTS, RUNS]), None);
    }

    #[test]
    fn none_and_both_will_not() {
        assert_eq!(say([RESTS, RESTS]).as_deref(), Some("none runs, one should"));
        assert_eq!(say([RUNS, RUNS]).as_deref(), Some("blue and green run, one should"));
    }

    #[test]
    fn an_old_a_failing_and_a_forgotten_instance_are_told_apart() {
        let old = State { current: false, ..RUNS };
        let failing = State { active: false, ..RUNS };
        let forgotten = State { enabled: false, ..RUNS };
        assert!(say([RESTS, old]).unwrap().starts_with("green runs with what has changed"));
        assert_eq!(say([failing, RESTS]).as_deref(), Some("blue does not stay up"));
        assert!(say([forgotten, RESTS]).unwrap().contains("starts at boot"));
    }

    #[test]
    fn the_instance_with_the_newest_is_kept() {
        let old = State { current: false, ..RUNS };
        assert_eq!(keeper(&[old.clone(), RUNS]), Some(1));
        assert_eq!(keeper(&[old, RESTS]), None);
    }

    #[test]
    fn an_instance_that_waits_for_its_next_attempt_is_not_at_rest() {
        let unit = |active: &str| UnitState { active: active.to_owned(), ..UnitState::default() };
        let waiting = state(&unit("activating"), true);
        assert_eq!(waiting, State { active: false, occupied: true, enabled: false, current: true });
        assert!(!state(&unit("failed"), false).occupied);
    }
}
