//! Commands, for what no other kind of resource describes.

use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// A command that runs where another one says that it is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// What it achieves, in a few words.
    pub name: String,
    /// Succeeds where nothing is to be done.
    pub unless: Vec<String>,
    /// Makes it so.
    pub run: Vec<String>,
}

impl Manage for Command {
    fn id(&self) -> ResourceId {
        ResourceId::new("command", &self.name)
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}
