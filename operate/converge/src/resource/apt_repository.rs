//! A package repository and the key that signs it.

use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// A vendor's repository in deb822 form, trusted by exactly one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AptRepository {
    /// Short name; the file is `/etc/apt/sources.list.d/<name>.sources`.
    pub name: String,
    /// Base address; only https is accepted, except for the distribution's own archive.
    pub uri: String,
    /// Suites, for example `noble-pgdg`.
    pub suites: Vec<String>,
    /// Components, for example `main`.
    pub components: Vec<String>,
    /// The signing key, ASCII-armoured; written beside the source and referred to by `Signed-By`.
    /// None uses the distribution's own keyring (backports).
    pub key: Option<String>,
}

impl Manage for AptRepository {
    fn id(&self) -> ResourceId {
        ResourceId::new("apt-repository", &self.name)
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}
