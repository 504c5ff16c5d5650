//! The host as the agent sees it: programs it runs, blobs it asks for, and what was learnt in this run.

use crate::facts::Facts;
use crate::files::Ownership;
use crate::resource::{Resource, ResourceError, ResourceId, Spec, Unit};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// Where programs are looked for; a session of a user with sudo may lack the directories of root's programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Fetches a blob from the operator by the hexadecimal SHA-256 of its bytes.
pub type FetchBlob = Box<dyn FnMut(&str) -> Result<Vec<u8>, ResourceError>>;

/// The host that the agent runs on.
pub struct Host {
    fetch_blob: FetchBlob,
    root: PathBuf,
    traces: BTreeMap<ResourceId, Vec<PathBuf>>,
    dependents: BTreeMap<ResourceId, Vec<Unit>>,
    /// Reads that many resources need, kept until a change may have made them old.
    pub facts: crate::facts::Facts,
    /// Fingerprints of the resources observed so far, in the state that they have now.
    pub fingerprints: BTreeMap<ResourceId, String>,
    /// Resources changed in this run.
    pub changed: BTreeSet<ResourceId>,
}

impl Host {
    /// A host of which nothing is known yet.
    pub fn new(fetch_blob: FetchBlob) -> Self {
        Self::at(Path::new("/"), fetch_blob)
    }

    /// A host whose files lie below `root`.
    pub fn at(root: &Path, fetch_blob: FetchBlob) -> Self {
        Self {
            fetch_blob,
            root: root.to_owned(),
            traces: BTreeMap::new(),
            dependents: BTreeMap::new(),
            facts: Facts::at(root),
            fingerprints: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Learns what the run is about, so that what its resources share is read in one go.
    pub fn prepare(&mut self, resources: &[Resource]) {
        for resource in resources {
            if let Spec::Unit(unit) = &resource.spec {
                self.facts.expect_units([unit.name.as_str()]);
                for id in unit.restart_on.iter().chain(&unit.reload_on) {
                    self.dependents.entry(id.clone()).or_default().push(unit.clone());
                }
            }
            if let Spec::Slots(slots) = &resource.spec {
                self.facts.expect_units(slots.units().iter().map(String::as_str));
            }
            self.traces.insert(resource.id(), resource.spec.manage().traces());
        }
    }

    /// Remembers that a resource was changed, and forgets the facts that this made old.
    pub fn note_change(&mut self, resource: &Resource) {
        let id = resource.id();
        for unit in self.dependents.get(&id).into_iter().flatten() {
            unit.forget(self, &id);
        }
        self.changed.insert(id);
        match &resource.spec {
            Spec::Packages(_) | Spec::Command(_) => self.facts.forget_all(),
            Spec::User(_) => self.facts.forget_accounts(),
            Spec::Unit(_) => {
                self.facts.forget_units();
                self.facts.postgres.forget();
            }
            // Nearly everything may touch a unit: its file, its configuration, its state.
            _ => self.facts.forget_units(),
        }
    }

    /// Remembers that a resource would be changed, so that a plan shows the restarts which follow.
    pub fn planned(&mut self, id: ResourceId) {
        self.changed.insert(id);
    }

    /// Where `path` of the host lies.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// When a resource last changed, as its files tell; none where it has none.
    pub fn last_changed(&self, id: &ResourceId) -> Option<SystemTime> {
        use std::os::unix::fs::MetadataExt;
        let paths = self.traces.get(id)?.iter();
        paths
            .filter_map(|path| {
                std::fs::symlink_metadata(self.root.join(path.strip_prefix("/").unwrap_or(path))).ok()
            })
            .map(|metadata| {
                SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(metadata.ctime().unsigned_abs())
            })
            .max()
    }

    /// Numeric ids of an owner and a group by name.
    pub fn ownership(&mut self, owner: &str, group: &str, mode: u32) -> Result<Ownership, ResourceError> {
        let accounts = self.facts.accounts()?;
        let missing = |what: &str, name: &str| {
            ResourceError::Other(format!(
                "there is no {what} `{name}` on this host: the package or user that brings it must come first"
            ))
        };
        let uid = accounts.user(owner).ok_or_else(|| missing("user", owner))?.uid;
        let gid = accounts.group(group).ok_or_else(|| missing("group", group))?;
        Ok(Ownership { uid, gid, mode })
    }

    /// The bytes of a blob, from the operator.
    pub fn blob(&mut self, sha256: &str) -> Result<Vec<u8>, ResourceError> {
        (self.fetch_blob)(sha256)
    }

    /// Runs a program and returns what it printed; an error holds the end of what it said.
    ///
    /// Arguments are seen by everyone on the host, so a secret goes to `input`.
    pub fn run(&self, argv: &[&str], input: Option<&[u8]>) -> Result<String, ResourceError> {
        output(argv, input)
    }

    /// Whether a program ends well; an error only where it cannot be started.
    pub fn succeeds(&self, argv: &[&str]) -> Result<bool, ResourceError> {
        Ok(execute(argv, None)?.status.success())
    }
}

/// [`Host::run`] for places that have no host at hand, such as a thread.
pub(crate) fn output(argv: &[&str], input: Option<&[u8]>) -> Result<String, ResourceError> {
    let output = execute(argv, input)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.trim().is_empty() {
        said = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    Err(ResourceError::Program {
        program: argv.join(" "),
        status: output.status.to_string(),
        output: tail(&said, 12),
    })
}

fn execute(argv: &[&str], input: Option<&[u8]>) -> Result<std::process::Output, ResourceError> {
    let attempted = || format!("start `{}`", argv.join(" "));
    let (program, arguments) =
        argv.split_first().ok_or_else(|| ResourceError::Other("an empty command line".to_owned()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir("/")
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(ResourceError::io(attempted()))?;
    let writer = child.stdin.take().zip(input.map(<[u8]>::to_vec)).map(|(mut stdin, bytes)| {
        // A thread, so that a program that prints before it has read everything cannot block us both.
        std::thread::spawn(move || stdin.write_all(&bytes))
    });
    let output = child.wait_with_output().map_err(ResourceError::io(attempted()))?;
    if let Some(writer) = writer {
        // A program may end without reading its input; its status tells whether that was an error.
        let _unread = writer.join();
    }
    Ok(output)
}

/// The last `lines` lines of `text`.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
