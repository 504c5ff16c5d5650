//! Files put in place whole or not at all.
//!
//! New content is written beside the file that it replaces, gets its owner and mode, reaches the disk, and only then
//! takes the file's name. A reader sees the old content or the new one; a crash leaves the old file, and a hidden
//! temporary one of a fixed name that the next write takes over.

use crate::resource::ResourceError;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use sha2::{Digest, Sha256};
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Who a file belongs to and what may be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Ownership {
    /// Root's, with these permission bits.
    pub fn root(mode: u32) -> Self {
        Self { uid: 0, gid: 0, mode }
    }

    /// What a file has now.
    pub fn of(metadata: &fs::Metadata) -> Self {
        Self { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() & 0o7777 }
    }
}

/// Replaces the file at `path`, or the symbolic link that stands there, by one with this content.
///
/// Missing parents are made with mode 0755.
pub fn replace(path: &Path, content: &[u8], ownership: Ownership) -> Result<(), ResourceError> {
    replace_checked(path, content, ownership, |_| Ok(()))
}

/// Like [`replace`], but asks `check` about the temporary file first; the old file stays if it refuses.
pub fn replace_checked(
    path: &Path,
    content: &[u8],
    ownership: Ownership,
    check: impl FnOnce(&Path) -> Result<(), ResourceError>,
) -> Result<(), ResourceError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(ResourceError::Other(format!("{} does not name a file", path.display())));
    };
    make_parents(path)?;
    let directory = rustix::fs::openat(CWD, parent, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| refused(format!("open the directory {}", parent.display()), error.into()))?;
    replace_in(&directory, parent, name, content, ownership, check)
}

/// Like [`replace_checked`], in a directory that is already open, so that nobody can swap it meanwhile.
pub(crate) fn replace_in(
    directory: &OwnedFd,
    shown: &Path,
    name: &str,
    content: &[u8],
    ownership: Ownership,
    check: impl FnOnce(&Path) -> Result<(), ResourceError>,
) -> Result<(), ResourceError> {
    let temporary = temporary_name(name);
    let written = write_new(directory, &temporary, content, ownership)
        .map_err(|error| refused(format!("write {}", shown.join(&temporary).display()), error))
        .and_then(|()| check(&shown.join(&temporary)))
        .and_then(|()| {
            rustix::fs::renameat(directory, temporary.as_str(), directory, name)
                .map_err(|error| refused(format!("replace {}", shown.join(name).display()), error.into()))
        });
    if written.is_err() {
        // The first error is the one to tell; a leftover is taken over by the next write.
        let _gone = rustix::fs::unlinkat(directory, temporary.as_str(), AtFlags::empty());
        return written;
    }
    rustix::fs::fsync(directory)
        .map_err(|error| refused(format!("bring {} to the disk", shown.display()), error.into()))
}

fn write_new(directory: &OwnedFd, name: &str, content: &[u8], ownership: Ownership) -> std::io::Result<()> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = fs::File::from(rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o600))?);
    file.write_all(content)?;
    fchown(&file, Some(ownership.uid), Some(ownership.gid))?;
    file.set_permissions(Permissions::from_mode(ownership.mode))?;
    file.sync_all()
}

/// Name of the temporary file: hidden, so that directories of drop-ins pass it over, and with the file's extension,
/// because some programs that validate it go by that.
fn temporary_name(name: &str) -> String {
    format!(".bastide-new.{name}")
}

/// What an interrupted replacement of `path` left behind, if it did.
pub fn leftover(path: &Path) -> Option<PathBuf> {
    let temporary = path.with_file_name(temporary_name(path.file_name()?.to_str()?));
    temporary.symlink_metadata().is_ok().then_some(temporary)
}

/// Makes the directories above `path` that do not exist, with mode 0755.
pub fn make_parents(path: &Path) -> Result<(), ResourceError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    if parent.is_dir() || parent.as_os_str().is_empty() {
        return Ok(());
    }
    make_parents(parent)?;
    match fs::create_dir(parent) {
        Ok(()) => fs::set_permissions(parent, Permissions::from_mode(0o755))
            .map_err(ResourceError::io(format!("set the mode of {}", parent.display()))),
        Err(error) => Err(refused(format!("make the directory {}", parent.display()), error)),
    }
}

/// An I/O error, with what the bare errno does not tell an operator.
pub(crate) fn refused(attempted: String, source: std::io::Error) -> ResourceError {
    let hint = match source.kind() {
        ErrorKind::PermissionDenied => " (immutable, perhaps: see `lsattr`)",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => " (make room: see `df -h` and `df -i`)",
        ErrorKind::ReadOnlyFilesystem => " (mounted read-only: see `findmnt` and the kernel's log)",
        ErrorKind::NotADirectory => " (a part of the path is a file)",
        _ => "",
    };
    ResourceError::Io { attempted: format!("{attempted}{hint}"), source }
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file's metadata, its own if it is a link; none where nothing stands.
pub fn metadata(path: &Path) -> Result<Option<fs::Metadata>, ResourceError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refused(format!("look at {}", path.display()), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine(mode: u32) -> Ownership {
        let scratch = tempfile::tempdir().unwrap();
        Ownership { mode, ..Ownership::of(&fs::metadata(scratch.path()).unwrap()) }
    }

    #[test]
    fn replaces_whole_and_makes_parents() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/c.conf");
        replace(&path, b"one", mine(0o600)).unwrap();
        replace(&path, b"two", mine(0o640)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::metadata(root.path().join("a")).unwrap().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_and_its_target_stays() {
        let root = tempfile::tempdir().unwrap();
        let (target, path) = (root.path().join("target"), root.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        replace(&path, b"new", mine(0o644)).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn refused_content_leaves_the_old_file_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.conf");
        fs::write(&path, "old").unwrap();
        let seen = std::cell::RefCell::new(Vec::new());
        let result = replace_checked(&path, b"new", mine(0o644), |temporary| {
            seen.borrow_mut().extend(fs::read(temporary).unwrap());
            Err(ResourceError::Other("no".into()))
        });
        assert!(result.is_err());
        assert_eq!(*seen.borrow(), b"new");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_leftover_is_found_and_taken_over() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.conf");
        fs::write(root.path().join(".bastide-new.x.conf"), "half").unwrap();
        assert!(leftover(&path).is_some());
        replace(&path, b"whole", mine(0o644)).unwrap();
        assert!(leftover(&path).is_none());
    }

    #[test]
    fn a_parent_that_is_a_file_is_named() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        let error = replace(&root.path().join("a/b"), b"", mine(0o644)).unwrap_err().to_string();
        assert!(error.contains("directory") && error.contains("/a"), "{error}");
    }
}
