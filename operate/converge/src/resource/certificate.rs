//! Certificates of the platform's own authority.

use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// A leaf certificate and its key, renewed in the last third of its life or when its names or authority change.
///
/// The operator's machine signs a fresh pair for every run; the agent installs it only where the present one will not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Short name; the files are `<directory>/<name>.pem` and `<directory>/<name>.key`.
    pub name: String,
    /// Directory of both files.
    pub directory: String,
    /// DNS names and addresses that it must cover.
    pub names: Vec<String>,
    /// Certificate of the authority that must have signed it (PEM).
    pub authority: String,
    /// The fresh certificate (PEM), leaf first.
    pub certificate: String,
    /// Its key (PKCS #8 PEM).
    pub key: String,
    /// Owner of the key.
    pub owner: String,
    /// Group of the key.
    pub group: String,
    /// Permission bits of the key, for example `0o640`.
    pub key_mode: u32,
}

impl Manage for Certificate {
    fn id(&self) -> ResourceId {
        ResourceId::new("certificate", &format!("{}/{}", self.directory, self.name))
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}
