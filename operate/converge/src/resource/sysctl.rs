//! Kernel settings.

use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// Kernel settings, in force now and after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// Short name; the file is `/etc/sysctl.d/60-<name>.conf`.
    pub name: String,
    /// Keys and values. Keys that this kernel does not have (a container may lack some) are written but not compared.
    pub values: Vec<(String, String)>,
}

impl Manage for Sysctl {
    fn id(&self) -> ResourceId {
        ResourceId::new("sysctl", &self.name)
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}
