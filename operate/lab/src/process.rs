//! Finding and ending the processes of a lab, by what the kernel says of them and not by remembered numbers.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{LabError, Result};
use crate::paths;

/// How long the kernel may take to end killed processes.
const KILL_DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// What tells one place's processes from all others: its control group, its network namespace and its keeper's argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Control group below the root, without a leading slash.
    pub(crate) cgroup: String,
    /// Name of the network namespace.
    pub(crate) namespace: String,
    /// An argument that only the keeper of this place carries.
    pub(crate) marker: String,
}

/// One process of the machine.
#[derive(Debug)]
struct Process {
    pid: i32,
    path: PathBuf,
}

impl Identity {
    /// The identity of `place` in `lab`.
    pub(crate) fn of(lab: &str, place: &str) -> Self {
        Self {
            cgroup: format!("bastide/{lab}/{place}"),
            namespace: format!("bastide-{lab}-{place}"),
            marker: format!("bastide-lab:{lab}:{place}"),
        }
    }

    /// Process number, on this machine, of the place's first process (its systemd), if it runs.
    pub(crate) fn leader(&self) -> Option<i32> {
        let namespace = namespace_inode(&self.namespace)?;
        processes().into_iter().find_map(|process| {
            let leads = process.is_first_of_a_container()
                && process.namespace_inode() == Some(namespace)
                && process.is_in_cgroup(&self.cgroup);
            leads.then_some(process.pid)
        })
    }

    /// Whether the keeper of the place, or anything it started, runs.
    pub(crate) fn is_alive(&self) -> bool {
        !self.processes().is_empty()
    }

    /// Ends every process of the place at once, as a power loss does.
    pub(crate) fn kill(&self) -> Result<()> {
        let deadline = Instant::now() + KILL_DEADLINE;
        loop {
            let alive = self.processes();
            if alive.is_empty() {
                return Ok(());
            }
            for process in &alive {
                if let Some(pid) = Pid::from_raw(process.pid) {
                    // A process that has ended meanwhile is what we want.
                    let _gone = kill_process(pid, Signal::KILL);
                }
            }
            if Instant::now() > deadline {
                return Err(LabError::Deadline {
                    what: format!("the end of the killed processes of {}", self.namespace),
                    seconds: KILL_DEADLINE.as_secs(),
                    evidence: alive.iter().map(Process::describe).collect::<Vec<_>>().join("\n"),
                });
            }
            std::thread::sleep(POLL);
        }
    }

    fn processes(&self) -> Vec<Process> {
        let namespace = namespace_inode(&self.namespace);
        let own = std::process::id().cast_signed();
        processes()
            .into_iter()
            .filter(|process| {
                process.pid != own
                    && (process.is_in_cgroup(&self.cgroup)
                        || (namespace.is_some() && process.namespace_inode() == namespace)
                        || process.has_argument(&self.marker))
                    && !process.is_zombie()
            })
            .collect()
    }
}

impl Process {
    fn is_in_cgroup(&self, cgroup: &str) -> bool {
        self.read("cgroup").lines().any(|line| {
            line.strip_prefix("0::/")
                .and_then(|path| path.strip_prefix(cgroup))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    fn namespace_inode(&self) -> Option<u64> {
        fs::metadata(self.path.join("ns/net")).ok().map(|metadata| metadata.ino())
    }

    fn has_argument(&self, argument: &str) -> bool {
        self.read("cmdline").split('\0').any(|part| part == argument)
    }

    fn is_zombie(&self) -> bool {
        let status = self.read("status");
        status.is_empty() || status.lines().any(|line| line.starts_with("State:\tZ"))
    }

    /// Process 1 of a process namespace one level below this machine's.
    fn is_first_of_a_container(&self) -> bool {
        self.read("status").lines().any(|line| {
            line.strip_prefix("NSpid:").is_some_and(|numbers| {
                let numbers: Vec<_> = numbers.split_whitespace().collect();
                numbers.len() == 2 && numbers[1] == "1"
            })
        })
    }

    fn describe(&self) -> String {
        format!("{} {}", self.pid, self.read("cmdline").replace('\0', " "))
    }

    fn read(&self, file: &str) -> String {
        // Processes come and go while we look: one that is gone reads as empty.
        fs::read(self.path.join(file))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let pid = path.file_name()?.to_str()?.parse().ok()?;
            Some(Process { pid, path })
        })
        .collect()
}

fn namespace_inode(name: &str) -> Option<u64> {
    fs::metadata(Path::new(paths::NAMESPACES).join(name)).ok().map(|metadata| metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::process::{Child, Command, Stdio};

    /// A process with `argument`, which has started: for a moment after it was spawned, a process has no arguments yet.
    fn carrier_of(argument: &str) -> Child {
        let mut child = Command::new("sh")
            .args(["-c", "echo; read -r forever", argument])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        child
    }

    #[test]
    fn a_process_is_found_by_its_marker_and_killed() {
        let identity = Identity::of("unit", &format!("p{}", std::process::id()));
        assert!(!identity.is_alive());
        let mut child = carrier_of(&identity.marker);
        assert!(identity.is_alive());
        identity.kill().unwrap();
        assert!(!identity.is_alive());
        child.wait().unwrap();
    }

    #[test]
    fn a_marker_matches_whole_arguments_only() {
        let place = format!("q{}", std::process::id());
        let identity = Identity::of("unit", &place);
        let mut child = carrier_of(&format!("{}x", identity.marker));
        assert!(!identity.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
