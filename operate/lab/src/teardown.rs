//! Taking a lab away: everything it made on this machine and nothing else, from whatever state a crash left it in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::command;
use crate::error::{Result, file_error};
use crate::lab::{Lab, SPEC_FILE};
use crate::lock::Lock;
use crate::names;
use crate::network;
use crate::paths;
use crate::process::Identity;
use crate::settings;
use crate::spec::LabSpec;
use crate::uplink;

/// The lock of what all labs of the machine share: its hosts file, its forwarding, its directories.
pub(crate) const MACHINE_LOCK: &str = "machine";

/// How long the kernel may take to forget the control groups of processes that have ended.
const CGROUP_DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// Removes everything of the lab but its lock.
pub(crate) fn remove(spec: &LabSpec, progress: &dyn Fn(&str)) -> Result<()> {
    let lab = &spec.name;
    progress(&format!("stopping the machines of lab {lab}"));
    let places = network::places(spec);
    for place in &places {
        Identity::of(lab, &place.name).kill()?;
    }
    progress("removing its networks, names and files");
    {
        let _lock = Lock::take(MACHINE_LOCK, progress)?;
        names::withdraw(lab)?;
        uplink::close(lab)?;
    }
    network::remove_operator_interface(lab)?;
    for namespace in network::namespaces(spec) {
        network::remove_namespace(&namespace)?;
    }
    remove_cgroups_of(lab)?;
    paths::remove(&paths::transient(lab))?;
    remove_directory_of(lab)
}

/// Gives the machine back what the labs shared, if this was the last one.
pub(crate) fn remove_traces_of_last_lab(progress: &dyn Fn(&str)) -> Result<()> {
    let lock = Lock::take(MACHINE_LOCK, progress)?;
    if !Lab::list()?.is_empty() {
        return Ok(());
    }
    settings::restore()?;
    restore_namespace_directory()?;
    remove_shared_cgroup()?;
    lock.remove()?;
    let transient = Path::new(paths::TRANSIENT);
    paths::remove_if_empty(&[
        "/run/systemd/nspawn".into(),
        transient.join("labs"),
        paths::locks(),
        transient.to_owned(),
        paths::labs(),
    ]);
    Ok(())
}

/// Remembers whether `ip netns` will have to mount its directory, so that the last `down` can undo it.
pub(crate) fn remember_namespace_directory() -> Result<()> {
    if is_mounted(paths::NAMESPACES)? {
        return Ok(());
    }
    let existed = Path::new(paths::NAMESPACES).exists();
    let memory = namespace_directory_memory();
    paths::make_directory(Path::new(paths::TRANSIENT), 0o755)?;
    paths::write_file(&memory, if existed { b"existed" } else { b"absent" }, 0o644)
}

fn restore_namespace_directory() -> Result<()> {
    let memory = namespace_directory_memory();
    let Ok(before) = fs::read_to_string(&memory) else {
        return Ok(());
    };
    let directory = Path::new(paths::NAMESPACES);
    let others = fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
    if !others {
        if is_mounted(paths::NAMESPACES)? {
            command::run("unmount the directory of network namespaces", "umount", &[paths::NAMESPACES])?;
        }
        if before == "absent" {
            paths::remove_if_empty(&[directory.to_owned()]);
        }
    }
    paths::remove(&memory)
}

fn namespace_directory_memory() -> PathBuf {
    Path::new(paths::TRANSIENT).join("netns-directory")
}

fn is_mounted(path: &str) -> Result<bool> {
    let mounts = paths::read_file(Path::new("/proc/self/mountinfo"))?;
    Ok(mounts.lines().any(|line| line.split(' ').nth(4) == Some(path)))
}

/// Removes the lab's control group and those below it.
fn remove_cgroups_of(lab: &str) -> Result<()> {
    let group = format!("bastide/{lab}");
    in_cgroups(r#"[ ! -d "$1" ] || find "$1" -depth -type d -exec rmdir {} +"#, &group)
}

/// Removes the control group that all labs share, unless it holds one of a lab that this process cannot see: one that
/// runs in a container, say.
fn remove_shared_cgroup() -> Result<()> {
    in_cgroups(r#"[ ! -d "$1" ] || find "$1" -mindepth 1 -type d | grep -q . || rmdir "$1""#, "bastide")
}

/// Runs a script on a control group, in the unified hierarchy. That may be mounted nowhere on this machine, so it is
/// mounted where only the script sees it.
fn in_cgroups(script: &str, group: &str) -> Result<()> {
    let script = format!("mount -t cgroup2 cgroup2 /sys/fs/cgroup\ncd /sys/fs/cgroup\n{script}");
    let attempted = "remove the control groups of the lab";
    let arguments = ["--mount", "--propagation", "private", "sh", "-e", "-c", &script, "sh", group];
    let deadline = Instant::now() + CGROUP_DEADLINE;
    loop {
        match command::run(attempted, "unshare", &arguments) {
            // Busy while the last process of a group is being buried.
            Err(_) if Instant::now() < deadline => std::thread::sleep(POLL),
            other => return other.map(drop),
        }
    }
}

/// Removes the lab's directory so that it is known as a lab until nothing else is left of it.
fn remove_directory_of(lab: &str) -> Result<()> {
    let directory = paths::lab(lab);
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(file_error("list", &directory))?,
    };
    for entry in entries.flatten() {
        if entry.file_name() != SPEC_FILE {
            paths::remove(&entry.path())?;
        }
    }
    paths::remove(&directory)
}
