//! Users and the keys that open their accounts.

use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// A user account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Login name; a group of the same name is its primary one.
    pub name: String,
    /// Whether it is a service's account.
    pub system: bool,
    /// Numeric id where it matters (files seen from a container), chosen by the system otherwise.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// Further groups.
    pub groups: Vec<String>,
    /// Exactly these OpenSSH public keys open it; none leaves the file alone.
    pub authorized_keys: Option<Vec<String>>,
}

impl Manage for User {
    fn id(&self) -> ResourceId {
        ResourceId::new("user", &self.name)
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}
