//! Container images.

use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// An image in the host's container engine, sent by the operator rather than pulled from a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerImage {
    /// Reference under which it is known, for example `bastide/app:3f1c…`.
    pub reference: String,
    /// Its id in the engine, `sha256:…` of its configuration.
    pub id: String,
    /// The archive that `docker load` reads, as a blob: SHA-256 in hexadecimal.
    pub archive: String,
}

impl Manage for ContainerImage {
    fn id(&self) -> ResourceId {
        ResourceId::new("container-image", &self.reference)
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}
