//! Where a lab keeps what it has: outside every checkout, so that any clone on the machine finds it.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::{LabError, Result, file_error};

/// Labs and the cache of base images. Survives the machine's reboot.
pub(crate) const STATE: &str = "/var/lib/bastide";
/// What is true only while the machine runs.
pub(crate) const TRANSIENT: &str = "/run/bastide";
/// Where `ip netns` keeps network namespaces.
pub(crate) const NAMESPACES: &str = "/run/netns";

/// Directory of all labs.
pub(crate) fn labs() -> PathBuf {
    Path::new(STATE).join("labs")
}

/// Directory of the base images.
pub(crate) fn images() -> PathBuf {
    Path::new(STATE).join("cache/images")
}

/// Directory of lock files.
pub(crate) fn locks() -> PathBuf {
    Path::new(TRANSIENT).join("locks")
}

/// Directory of one lab.
pub(crate) fn lab(name: &str) -> PathBuf {
    labs().join(name)
}

/// Transient directory of one lab.
pub(crate) fn transient(name: &str) -> PathBuf {
    Path::new(TRANSIENT).join("labs").join(name)
}

/// Makes `path` and its parents; `path` itself gets `mode`.
pub(crate) fn make_directory(path: &Path, mode: u32) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(file_error("make directory", parent))?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(file_error("make directory", path)(error));
        }
        _ => {}
    }
    // The process's umask may have taken bits away.
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(file_error("set the mode of", path))
}

/// Makes a directory that only root reads, whole or not at all, unless it is there: `fill` writes into it.
pub(crate) fn make_once(directory: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let unfinished = directory.with_extension("new");
    remove(&unfinished)?;
    make_directory(&unfinished, 0o700)?;
    fill(&unfinished)?;
    fs::rename(&unfinished, directory).map_err(file_error("put in place", &unfinished))
}

/// Writes `content` to `path` so that a reader sees the old file or the new one, never half of one.
pub(crate) fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(file_error("write", path))
}

/// Reads a text file.
pub(crate) fn read_file(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(file_error("read", path))
}

/// Removes a file or a whole directory; that there is none is no error.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(file_error("remove", path)),
    }
}

/// Removes each directory in turn while it is empty.
pub(crate) fn remove_if_empty(directories: &[PathBuf]) {
    for directory in directories {
        // A directory in use by another lab is not empty and stays.
        drop(fs::remove_dir(directory));
    }
}

/// Fails unless the file system under [`STATE`] has `needed_mib` MiB free.
pub(crate) fn require_space(needed_mib: u64) -> Result<()> {
    let state = Path::new(STATE);
    let usage = rustix::fs::statvfs(state).map_err(|error| LabError::File {
        attempted: "measure the free space of",
        path: state.to_owned(),
        source: error.into(),
    })?;
    let free_mib = usage.f_bavail * usage.f_frsize / (1 << 20);
    if free_mib < needed_mib {
        return Err(LabError::DiskFull { path: state.to_owned(), free_mib, needed_mib });
    }
    Ok(())
}
