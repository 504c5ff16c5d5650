//! The guard: changes that could lock the operator out undo themselves unless a fresh connection confirms them.
//!
//! Before the first such change the present files are copied and a timer of systemd is started that puts them back.
//! Whoever can still log in confirms, which stops the timer and removes the copies.

use crate::protocol::CONFIRM_WITHIN;
use crate::resource::Resource;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const DIRECTORY: &str = "/var/lib/bastide/revert";
const UNIT: &str = "bastide-revert";

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    token: String,
    files: Vec<Kept>,
    /// Commands that make the old content effective again.
    afterwards: Vec<Vec<String>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    path: PathBuf,
    /// Absent where the file did not exist.
    copy: Option<Copy>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Copy {
    at: PathBuf,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// A guard that is armed.
#[derive(Debug)]
pub(super) struct Armed {
    /// What the fresh connection must say.
    pub(super) token: String,
    since: Instant,
}

/// What became of a guarded change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Undecided,
    Confirmed,
    Reverted,
}

/// Copies what `resources` may change and starts the timer.
pub(super) fn arm(resources: &[&Resource]) -> io::Result<Armed> {
    clear()?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(DIRECTORY)?;
    let mut files = Vec::new();
    let mut afterwards = Vec::new();
    for resource in resources {
        let managed = resource.spec.manage();
        for path in managed.guarded_paths() {
            files.push(keep(Path::new(&path), files.len())?);
        }
        afterwards.extend(managed.after_revert());
    }
    let token = token()?;
    let manifest = Manifest { token: token.clone(), files, afterwards };
    fs::write(manifest_path(), serde_json::to_vec(&manifest)?)?;
    fs::File::open(DIRECTORY)?.sync_all()?;
    let program = std::env::current_exe()?;
    let delay = format!("--on-active={}", CONFIRM_WITHIN.as_secs());
    let unit = format!("--unit={UNIT}");
    run(Command::new("systemd-run")
        .args(["--quiet", "--collect", &unit, &delay, "--timer-property=AccuracySec=100ms"])
        .arg(program)
        .args(["agent", "revert"]))?;
    Ok(Armed { token, since: Instant::now() })
}

impl Armed {
    /// Whether the change was confirmed or reverted by now.
    pub(super) fn fate(&self) -> Fate {
        match fs::read(manifest_path()) {
            Ok(_) if self.since.elapsed() > CONFIRM_WITHIN * 2 => Fate::Reverted,
            Ok(_) => Fate::Undecided,
            Err(_) if Path::new(DIRECTORY).join("reverted").exists() => Fate::Reverted,
            Err(_) => Fate::Confirmed,
        }
    }
}

/// Confirms the guarded change that goes by `token`: the timer stops and the change stays.
pub fn confirm(token: &str) -> io::Result<()> {
    let manifest: Manifest = serde_json::from_slice(&fs::read(manifest_path())?)?;
    if manifest.token != token {
        return Err(io::Error::other("this is not the change that waits to be confirmed"));
    }
    run(Command::new("systemctl").args(["stop", &format!("{UNIT}.timer")]))?;
    clear()
}

/// Puts the old files back: what the timer runs when nobody confirmed.
pub fn revert() -> io::Result<()> {
    let manifest: Manifest = serde_json::from_slice(&fs::read(manifest_path())?)?;
    for kept in &manifest.files {
        restore(kept)?;
    }
    for command in &manifest.afterwards {
        if let Some((program, arguments)) = command.split_first() {
            // Every file is back already; one service that will not reload must not keep the others from it.
            if let Err(error) = run(Command::new(program).args(arguments)) {
                eprintln!("{error}");
            }
        }
    }
    fs::write(Path::new(DIRECTORY).join("reverted"), b"")?;
    fs::remove_file(manifest_path())
}

fn manifest_path() -> PathBuf {
    Path::new(DIRECTORY).join("manifest.json")
}

/// Removes what an earlier guard left. Whoever starts a new change has logged in, so nothing is owed a revert.
fn clear() -> io::Result<()> {
    if Path::new(DIRECTORY).exists() {
        let timer = format!("{UNIT}.timer");
        Command::new("systemctl").args(["stop", "--quiet", &timer]).status()?;
        fs::remove_dir_all(DIRECTORY)?;
    }
    Ok(())
}

fn keep(path: &Path, number: usize) -> io::Result<Kept> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Kept { path: path.to_owned(), copy: None });
        }
        Err(error) => return Err(error),
    };
    let at = Path::new(DIRECTORY).join(number.to_string());
    fs::copy(path, &at)?;
    let copy = Copy { at, mode: metadata.mode(), uid: metadata.uid(), gid: metadata.gid() };
    Ok(Kept { path: path.to_owned(), copy: Some(copy) })
}

fn restore(kept: &Kept) -> io::Result<()> {
    let Some(copy) = &kept.copy else {
        return match fs::remove_file(&kept.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    };
    let beside = kept.path.with_extension("bastide-revert");
    fs::copy(&copy.at, &beside)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(copy.mode))?;
    chown(&beside, Some(copy.uid), Some(copy.gid))?;
    fs::rename(&beside, &kept.path)
}

fn token() -> io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{} ended with {status}", command.get_program().to_string_lossy())))
}
