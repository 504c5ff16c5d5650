//! Container images.

mod engine;

use crate::difference::Difference;
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use engine::{Engine, Image};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Images of one repository that stay on the host: the present one and what a rollback may need.
const KEPT: usize = 3;

/// An image in the host's container engine, sent by the operator rather than pulled from a registry.
///
/// Loading one removes older images of its repository that no container uses, but for the newest few.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerImage {
    /// Reference under which it is known, for example `bastide/app:3f1c…`.
    pub reference: String,
    /// Its id in the engine's own store, `sha256:…` of its configuration.
    pub id: String,
    /// Its id in containerd's store, `sha256:…` of its manifest; empty where that store is not used.
    #[serde(default)]
    pub manifest: String,
    /// The archive that `docker load` reads, as a blob: SHA-256 in hexadecimal.
    pub archive: String,
}

impl ContainerImage {
    fn is_this(&self, image: &Image) -> bool {
        image.id == self.id || (!self.manifest.is_empty() && image.id == self.manifest)
    }

    /// The image in whichever store the engine has.
    fn find(&self, engine: &Engine) -> Result<Option<Image>, ResourceError> {
        match engine.image(&self.id)? {
            None if !self.manifest.is_empty() => engine.image(&self.manifest),
            found => Ok(found),
        }
    }

    fn tag(&self) -> Result<(&str, &str), ResourceError> {
        self.reference.rsplit_once(':').ok_or_else(|| {
            ResourceError::Other(format!("container image `{}` has no tag; write name:tag", self.reference))
        })
    }

    /// Removes what nobody will go back to. An image that is in use cannot be removed and stays.
    fn remove_old(&self, engine: &Engine, repository: &str) -> Result<(), ResourceError> {
        let used = engine.images_in_use()?;
        let mut others: Vec<(String, Image)> = Vec::new();
        for reference in engine.references(repository)? {
            if let Some(image) = engine.image(&reference)?.filter(|image| !self.is_this(image)) {
                others.push((reference, image));
            }
        }
        others.sort_by(|(_, one), (_, other)| other.tagged.cmp(&one.tagged));
        for (reference, image) in others.iter().skip(KEPT - 1) {
            if !used.contains(&image.id) {
                engine.remove(reference)?;
            }
        }
        Ok(())
    }
}

impl Manage for ContainerImage {
    fn id(&self) -> ResourceId {
        ResourceId::new("container-image", &self.reference)
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        if !Path::new(engine::SOCKET).exists() {
            return Ok(Observed::differs(Difference::new("Docker does not run yet; will be loaded")));
        }
        Ok(match Engine.image(&self.reference)? {
            None => Observed::differs(Difference::new("load")),
            Some(image) if !self.is_this(&image) => Observed::differs(Difference::with_lines(
                "another image has this reference",
                vec![format!("- {}", image.id), format!("+ {}", self.id)],
            )),
            Some(image) => Observed::same(image.id),
        })
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        let (repository, tag) = self.tag()?;
        let engine = Engine;
        // Its tag alone may have been taken away or moved.
        let image = match self.find(&engine)? {
            Some(image) => image,
            None => {
                engine.load(&host.blob(&self.archive)?)?;
                self.find(&engine)?.ok_or_else(|| {
                    ResourceError::Other(format!(
                        "Docker loaded the archive of {}, but has no image {}: the archive holds another image",
                        self.reference, self.id
                    ))
                })?
            }
        };
        // Loading alone does not count as tagging, by whose time old images are told from new ones.
        engine.tag(&image.id, repository, tag)?;
        self.remove_old(&engine, repository)
    }
}

#[cfg(test)]
mod tests;
