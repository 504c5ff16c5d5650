//! Directories, and paths that must not be.

use super::file::{compare_ownership, set_ownership};
use crate::difference::Difference;
use crate::files;
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;

/// A directory with this owner and mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Absolute path; parents are made with mode 0755 of root.
    pub path: String,
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
    /// Permission bits.
    pub mode: u32,
}

impl Directory {
    /// One of root's that everybody may look into.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), owner: "root".to_owned(), group: "root".to_owned(), mode: 0o755 }
    }

    /// The same directory with another owner, group and mode.
    #[must_use]
    pub fn owned_by(self, owner: &str, group: &str, mode: u32) -> Self {
        Self { owner: owner.to_owned(), group: group.to_owned(), mode, ..self }
    }
}

/// A file, symbolic link or empty directory that must not exist; a directory with something in it is never removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Absolute path.
    pub path: String,
}

impl Manage for Directory {
    fn id(&self) -> ResourceId {
        ResourceId::new("directory", &self.path)
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let Some(metadata) = files::metadata(&host.path(&self.path))? else {
            let summary = format!("create, {}:{} {:04o}", self.owner, self.group, self.mode);
            return Ok(Observed::differs(Difference::new(summary)));
        };
        if !metadata.is_dir() {
            let what = if metadata.is_symlink() { "a symbolic link" } else { "not a directory" };
            return Err(ResourceError::Other(format!(
                "{} is {what}, and a directory must stand there: move it away and run again",
                self.path
            )));
        }
        let findings = compare_ownership(host, &metadata, &self.owner, &self.group, self.mode)?;
        Ok(match Difference::of(findings) {
            Some(difference) => Observed::differs(difference),
            None => Observed::same(format!("{}:{} {:04o}", self.owner, self.group, self.mode)),
        })
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        let path = host.path(&self.path);
        let ownership = host.ownership(&self.owner, &self.group, self.mode)?;
        files::make_parents(&path)?;
        // Closed to others until it has its owner.
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(files::refused(format!("make the directory {}", self.path), error));
            }
            _ => {}
        }
        set_ownership(&path, ownership)
    }
}

impl Manage for Absent {
    fn id(&self) -> ResourceId {
        ResourceId::new("absent", &self.path)
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let path = host.path(&self.path);
        let Some(metadata) = files::metadata(&path)? else { return Ok(Observed::same("absent")) };
        if !metadata.is_dir() {
            return Ok(Observed::differs(Difference::new("remove")));
        }
        let mut entries = std::fs::read_dir(&path)
            .map_err(ResourceError::io(format!("list the directory {}", self.path)))?;
        if entries.next().is_some() {
            return Err(ResourceError::Other(format!(
                "{} must not exist, but it is a directory with something in it, which is never removed: \
                 look at it and remove it by hand",
                self.path
            )));
        }
        Ok(Observed::differs(Difference::new("remove the empty directory")))
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        let path = host.path(&self.path);
        let is_directory = files::metadata(&path)?.is_some_and(|metadata| metadata.is_dir());
        let removed = if is_directory { std::fs::remove_dir(&path) } else { std::fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(files::refused(format!("remove {}", self.path), error))
            }
            _ => Ok(()),
        }
    }

    fn guarded_paths(&self) -> Vec<String> {
        vec![self.path.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::testing::Scratch;

    fn directory(mode: u32) -> Directory {
        Directory { path: "/var/lib/x/y".into(), owner: "me".into(), group: "us".into(), mode }
    }

    #[test]
    fn made_with_parents_then_the_same() {
        let mut scratch = Scratch::new();
        scratch.converge(&directory(0o750));
        let found = directory(0o755).observe(&mut scratch.host).unwrap().difference.unwrap();
        assert_eq!(found.summary, "mode 0750 → 0755");
        scratch.converge(&directory(0o755));
    }

    #[test]
    fn a_file_or_a_link_is_never_replaced_by_a_directory() {
        let mut scratch = Scratch::new();
        scratch.write("/var/lib/x/y", "precious");
        assert!(
            directory(0o755).observe(&mut scratch.host).unwrap_err().to_string().contains("move it away")
        );
        assert_eq!(scratch.read("/var/lib/x/y"), "precious");
    }

    #[test]
    fn absent_removes_files_links_and_empty_directories_only() {
        let mut scratch = Scratch::new();
        scratch.write("/etc/file", "");
        std::os::unix::fs::symlink("/nowhere", scratch.host.path("/etc/link")).unwrap();
        std::fs::create_dir(scratch.host.path("/etc/empty")).unwrap();
        for path in ["/etc/file", "/etc/link", "/etc/empty"] {
            scratch.converge(&Absent { path: path.into() });
        }
        scratch.write("/etc/full/file", "");
        let full = Absent { path: "/etc/full".into() };
        assert!(full.observe(&mut scratch.host).is_err());
        assert!(full.change(&mut scratch.host).is_err());
        assert_eq!(scratch.read("/etc/full/file"), "");
    }
}
