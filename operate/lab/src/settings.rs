//! Settings of this machine's kernel that a lab has to change, and their way back.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, file_error};
use crate::paths;

/// Where kernel settings are.
const KERNEL: &str = "/proc/sys";
/// Stands for `/` in the name of a file that remembers a setting.
const SEPARATOR: &str = ":";

/// Sets `setting` (a path below `/proc/sys`) to `value` and remembers, once, what it was.
pub(crate) fn set(setting: &str, value: &str) -> Result<()> {
    let file = Path::new(KERNEL).join(setting);
    let before = paths::read_file(&file)?;
    if before.trim() == value {
        return Ok(());
    }
    let memory = remembered().join(setting.replace('/', SEPARATOR));
    if !memory.exists() {
        paths::make_directory(&remembered(), 0o755)?;
        paths::write_file(&memory, before.as_bytes(), 0o644)?;
    }
    write(&file, value)
}

/// Sets `setting` of something that the lab made and that takes its settings along when it goes.
pub(crate) fn set_own(setting: &str, value: &str) -> Result<()> {
    write(&Path::new(KERNEL).join(setting), value)
}

/// Sets `setting`, a number, to `least` if it is less.
pub(crate) fn raise(setting: &str, least: u64) -> Result<()> {
    let present = paths::read_file(&Path::new(KERNEL).join(setting))?;
    if present.trim().parse::<u64>().is_ok_and(|present| present >= least) {
        return Ok(());
    }
    set(setting, &least.to_string())
}

/// Gives every setting the value it had before the first lab.
pub(crate) fn restore() -> Result<()> {
    let directory = remembered();
    let Ok(entries) = fs::read_dir(&directory) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let setting = entry.file_name().to_string_lossy().replace(SEPARATOR, "/");
        let file = Path::new(KERNEL).join(setting);
        // An interface that is gone has taken its settings along.
        if file.exists() {
            let value = paths::read_file(&entry.path())?;
            fs::write(&file, value).map_err(file_error("restore", &file))?;
        }
    }
    paths::remove(&directory)
}

fn write(file: &Path, value: &str) -> Result<()> {
    fs::write(file, value).map_err(file_error("set", file))
}

fn remembered() -> PathBuf {
    Path::new(paths::TRANSIENT).join("settings")
}
