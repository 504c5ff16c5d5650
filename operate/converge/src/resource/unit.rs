//! systemd units.

use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// A unit's state, and what it must be restarted or reloaded for.
///
/// After a (re)start the agent remembers the fingerprints of what the unit depends on. If they differ at the next
/// observation, the unit runs with something old, and that is a difference: also when the run that changed the file
/// was interrupted before the restart.
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

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}
