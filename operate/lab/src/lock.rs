//! Locks that the kernel drops when their holder dies, so that no crash leaves one behind.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::error::{Result, file_error};
use crate::paths;

/// An exclusive lock, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock called `name`; if another run has it, says so through `progress` and waits for its end.
    pub(crate) fn take(name: &str, progress: &dyn Fn(&str)) -> Result<Self> {
        paths::make_directory(&paths::locks(), 0o755)?;
        let path = paths::locks().join(name);
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(file_error("open the lock", &path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    progress(&format!("waiting for another run on this machine to finish ({name})"));
                    file.lock().map_err(file_error("take the lock", &path))?;
                }
                Err(TryLockError::Error(error)) => return Err(file_error("take the lock", &path)(error)),
            }
            // The holder before us may have removed the file: then this lock guards nothing.
            let current = fs::metadata(&path).map(|metadata| metadata.ino()).ok();
            if current == file.metadata().map(|metadata| metadata.ino()).ok() {
                return Ok(Self { path, _file: file });
            }
        }
    }

    /// Removes the lock's file and drops the lock: for whoever removes what it guards.
    pub(crate) fn remove(self) -> Result<()> {
        paths::remove(&self.path)
    }
}
