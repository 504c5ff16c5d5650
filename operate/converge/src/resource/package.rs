//! Packages.

use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// Packages that must be installed.
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

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}
