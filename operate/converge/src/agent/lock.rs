//! The lock of a host: one operator changes it at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};

const DIRECTORY: &str = "/run/bastide";
const FILE: &str = "/run/bastide/lock";

/// The held lock. The kernel frees it when the agent ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What came of asking for the lock.
#[derive(Debug)]
pub enum Outcome {
    /// It is ours.
    Taken(Lock),
    /// Somebody else is at work.
    HeldBy(String),
}

/// Asks for the lock in the name of `holder`, without waiting.
pub fn take(holder: &str) -> io::Result<Outcome> {
    fs::create_dir_all(DIRECTORY)?;
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(FILE)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder.as_bytes())?;
            Ok(Outcome::Taken(Lock { _file: file }))
        }
        Err(TryLockError::WouldBlock) => {
            let mut other = String::new();
            file.read_to_string(&mut other)?;
            Ok(Outcome::HeldBy(other))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}
