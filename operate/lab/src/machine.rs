//! One booted place of the lab: a host, or one of the world's servers. Its files, its start, its end.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::{last_lines, not_started};
use crate::error::{LabError, Result, file_error};
use crate::image::Image;
use crate::paths;
use crate::process::Identity;

const START_SCRIPT: &str = include_str!("start.sh");
/// Generous: an idle machine boots a host in under two seconds.
const BOOT_DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

/// A place of lab `lab` with a root file system of its own.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    pub(crate) lab: &'a str,
    pub(crate) name: &'a str,
    pub(crate) image: Image,
}

/// What a machine runs.
#[derive(Debug)]
pub(crate) enum Program<'a> {
    /// Its own systemd, as a server does.
    Boot,
    /// One program, with these environment variables.
    Serve {
        /// The command line.
        command: &'a [&'a str],
        /// `NAME=value` pairs.
        environment: &'a [&'a str],
    },
}

/// A file that a machine has before it first starts, on top of its image.
#[derive(Debug)]
pub(crate) struct OwnFile {
    /// Absolute path inside the machine.
    pub(crate) path: &'static str,
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
}

impl OwnFile {
    /// A file that everybody on the machine may read.
    pub(crate) fn public(path: &'static str, content: impl Into<Vec<u8>>) -> Self {
        Self { path, content: content.into(), mode: 0o644 }
    }

    /// A file that only root may read.
    pub(crate) fn secret(path: &'static str, content: impl Into<Vec<u8>>) -> Self {
        Self { path, content: content.into(), mode: 0o600 }
    }
}

impl Machine<'_> {
    /// What tells this machine's processes from others.
    pub(crate) fn identity(&self) -> Identity {
        Identity::of(self.lab, self.name)
    }

    /// Path on this machine of `path` inside the machine while it runs. Its layers must not be written to behind its back.
    pub(crate) fn live(&self, path: &str) -> Option<PathBuf> {
        let leader = self.identity().leader()?;
        Some(PathBuf::from(format!("/proc/{leader}/root{path}")))
    }

    /// Makes the machine's own layer with `files` in it, unless it is there. A run that is killed leaves none.
    pub(crate) fn prepare(&self, files: impl FnOnce() -> Result<Vec<OwnFile>>) -> Result<()> {
        let directory = self.directory();
        if directory.is_dir() {
            return Ok(());
        }
        let unfinished = directory.with_extension("new");
        paths::remove(&unfinished)?;
        for part in ["work", "root", "docker"] {
            paths::make_directory(&unfinished.join(part), 0o755)?;
        }
        let upper = unfinished.join("upper");
        self.mirror_directory(&upper, Path::new(""))?;
        for file in files()? {
            let relative = Path::new(file.path.trim_start_matches('/'));
            self.mirror_directory(&upper, relative.parent().unwrap_or(Path::new("")))?;
            paths::write_file(&upper.join(relative), &file.content, file.mode)?;
        }
        fs::rename(&unfinished, &directory).map_err(file_error("put in place", &unfinished))
    }

    /// Removes the machine's own layer, for a machine that has nothing worth keeping.
    pub(crate) fn discard(&self) -> Result<()> {
        paths::remove(&self.directory())
    }

    /// Starts the machine; its namespace must be there. Returns at once.
    pub(crate) fn start(&self, program: &Program<'_>) -> Result<()> {
        let directory = self.directory();
        let identity = self.identity();
        let transient = paths::transient(self.lab);
        paths::make_directory(&transient, 0o755)?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .map_err(file_error("open", &self.log()))?;
        let errors = log.try_clone().map_err(file_error("open", &self.log()))?;
        let mut command = Command::new("setsid");
        command
            .args(["--fork", "unshare", "--mount", "--propagation", "private"])
            .args(["sh", "-c", START_SCRIPT, "start.sh"])
            .args([&identity.marker, &identity.cgroup, &identity.namespace])
            .args([
                self.image.path(),
                directory.join("upper"),
                directory.join("work"),
                directory.join("root"),
            ])
            .args(self.container_arguments(program))
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            // A server may set what concerns its own network, and nothing that concerns this machine's kernel.
            .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        // It forks and ends, so that the machine is nobody's child: whoever brings a lab up may live on without it.
        let attempted = format!("start {}", self.name);
        let status = command.status().map_err(|error| not_started(&attempted, &command, &error))?;
        if status.success() {
            return Ok(());
        }
        Err(LabError::Command {
            attempted,
            command: "setsid --fork unshare".to_owned(),
            outcome: format!("failed with {status}"),
            output: last_lines(&fs::read_to_string(self.log()).unwrap_or_default()),
        })
    }

    /// Waits until the machine's first process runs, and returns its number.
    pub(crate) fn wait_for_leader(&self) -> Result<i32> {
        self.wait_for("start", || self.identity().leader())
    }

    /// Waits until the machine's systemd has finished booting; returns the units that failed.
    pub(crate) fn wait_for_boot(&self) -> Result<Vec<String>> {
        let state = self.wait_for("boot", || {
            let output = self.command(&["systemctl", "is-system-running"])?.output().ok()?;
            let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            ["running", "degraded"].contains(&state.as_str()).then_some(state)
        })?;
        if state == "running" {
            return Ok(Vec::new());
        }
        let failed = self
            .command(&["systemctl", "list-units", "--failed", "--plain", "--no-legend"])
            .and_then(|mut command| command.output().ok())
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
        Ok(failed.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
    }

    /// Asks `ready` until it answers; fails with the machine's own log when it takes too long or the machine ends.
    pub(crate) fn wait_for<T>(&self, what: &str, ready: impl Fn() -> Option<T>) -> Result<T> {
        let started = Instant::now();
        loop {
            if let Some(answer) = ready() {
                return Ok(answer);
            }
            let waited = started.elapsed();
            // Right after the start its process may not be there yet.
            let ended = waited > Duration::from_secs(5) && !self.identity().is_alive();
            if ended || waited > BOOT_DEADLINE {
                return Err(LabError::Deadline {
                    what: format!("the {what} of {} in lab {}", self.name, self.lab),
                    seconds: waited.as_secs(),
                    evidence: last_lines(&fs::read_to_string(self.log()).unwrap_or_default()),
                });
            }
            std::thread::sleep(POLL);
        }
    }

    /// A command that runs inside the machine; none if it is not running.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Option<Command> {
        let leader = self.identity().leader()?;
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={leader}"))
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"])
            .args(["env", "--ignore-environment", "HOME=/root", "USER=root", "LANG=C.UTF-8"])
            .arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .arg(format!("TERM={}", std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned())))
            .args(arguments);
        Some(command)
    }

    fn directory(&self) -> PathBuf {
        paths::lab(self.lab).join("machines").join(self.name)
    }

    fn log(&self) -> PathBuf {
        paths::transient(self.lab).join(format!("{}.log", self.name))
    }

    fn container_arguments(&self, program: &Program<'_>) -> Vec<String> {
        let identity = self.identity();
        let mut arguments: Vec<String> = [
            "systemd-nspawn",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--settings=no",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--console=pipe",
            "--capability=all",
            "--system-call-filter=@keyring bpf @mount add_key",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(format!("--network-namespace-path={}/{}", paths::NAMESPACES, identity.namespace));
        arguments.push(format!("--machine={}", identity.namespace));
        arguments.push(format!("--hostname={}", self.name));
        arguments.push(format!("--directory={}", self.directory().join("root").display()));
        match program {
            Program::Boot => {
                // Docker needs a plain directory: its own layers cannot lie on ours.
                arguments
                    .push(format!("--bind={}:/var/lib/docker", self.directory().join("docker").display()));
                if Path::new("/dev/net/tun").exists() {
                    arguments.push("--bind=/dev/net/tun".to_owned());
                }
                arguments.push("--boot".to_owned());
            }
            Program::Serve { command, environment } => {
                arguments.push("--as-pid2".to_owned());
                arguments.extend(environment.iter().map(|pair| format!("--setenv={pair}")));
                arguments.extend(command.iter().map(|&part| part.to_owned()));
            }
        }
        arguments
    }

    /// Makes `relative` in the machine's own layer with the mode and owner it has in the image: the upper one counts.
    fn mirror_directory(&self, upper: &Path, relative: &Path) -> Result<()> {
        let path = upper.join(relative);
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = relative.parent() {
            self.mirror_directory(upper, parent)?;
        }
        let original = self.image.path().join(relative);
        // A link in the image (as /bin) stays one.
        if let Ok(target) = fs::read_link(&original) {
            return symlink(target, &path).map_err(file_error("make the link", &path));
        }
        let Ok(metadata) = fs::metadata(&original) else {
            let private = relative.file_name().is_some_and(|name| name == ".ssh");
            return paths::make_directory(&path, if private { 0o700 } else { 0o755 });
        };
        paths::make_directory(&path, metadata.permissions().mode() & 0o7777)?;
        std::os::unix::fs::chown(&path, Some(metadata.uid()), Some(metadata.gid()))
            .map_err(file_error("set the owner of", &path))
    }
}
