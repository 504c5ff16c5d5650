//! The stage: a platform file of its own, the lab that it describes, and the program under test.

use crate::machine::Picture;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a run of the program may take at most, in seconds. Building a platform from nothing takes longest.
const LONGEST: u32 = 900;
/// How long a command on a host may take at most, in seconds.
const ON_A_HOST: u32 = 60;
/// Names a platform file whose lab is up already: tests run there, and it stays up.
const PRESENT: &str = "BASTIDE_TEST_PLATFORM";

/// Enough of a platform file to take a lab down by its name.
const STALE: &str = r#"
name = "NAME"
domain = "NAME.test"
os = "debian-14"
private_network = "10.0.0.0/24"
lab = { network = "198.51.100.0/26" }
[hosts.all]
roles = ["edge", "app", "db", "cache", "identity"]
address = "10.0.0.10"
public_address = "198.51.100.10"
"#;

/// The platform of the reference: Debian 14 behind a CDN.
pub static PLATFORM: LazyLock<Stage> = LazyLock::new(|| match std::env::var_os(PRESENT) {
    Some(file) => Stage::present(file.into()),
    None => Stage::new("test"),
});

static MADE: Mutex<Vec<Stage>> = Mutex::new(Vec::new());

/// A platform file and the lab that it describes.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Name of the platform and of its lab.
    pub name: String,
    /// Directory of this stage's files.
    pub directory: PathBuf,
    /// The platform file.
    pub file: PathBuf,
    /// The machine before the lab was booted; none where it was up already.
    pub before: Option<Arc<Picture>>,
}

/// What came of a run of the program.
#[derive(Debug)]
pub struct Ran {
    pub command: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Stage {
    /// Writes a lab's platform file; what an earlier run that was killed left of its lab goes first.
    pub fn new(name: &str) -> Self {
        assert!(is_root(), "a lab needs root: run `make test` as root");
        let directory = std::env::temp_dir().join(format!("bastide-test-{name}"));
        let file = directory.join("platform.toml");
        let mut stage = Self { name: name.to_owned(), file, directory, before: None };
        stage.discard().unwrap();
        fs::create_dir_all(&stage.directory).unwrap();
        fs::write(&stage.file, STALE.replace("NAME", name)).unwrap();
        stage.down().unwrap();
        // Its network is free now.
        fs::remove_file(&stage.file).unwrap();
        program(&["init", "--lab", name, "--output", stage.file.to_str().unwrap()]).expect(0);
        stage.before = Some(Arc::new(Picture::take()));
        MADE.lock().unwrap_or_else(PoisonError::into_inner).push(stage.clone());
        stage
    }

    fn present(file: PathBuf) -> Self {
        let text = fs::read_to_string(&file).unwrap();
        let name = text.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap();
        let name = name.split('"').next().unwrap().to_owned();
        Self { name, directory: file.parent().unwrap().to_owned(), file, before: None }
    }

    /// Runs the program on this platform.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(&self.file, arguments)
    }

    /// Runs the program with a platform file of the same lab that says something else.
    pub fn run_with(&self, file: &Path, arguments: &[&str]) -> Ran {
        program(&[&["--platform", file.to_str().unwrap()], arguments].concat())
    }

    /// The command of a run of the program, for a test that does something meanwhile.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(bastide());
        command.arg("--platform").arg(&self.file).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Writes a variant of the platform file, in which each of `changes` replaces a text by another.
    pub fn variant(&self, name: &str, changes: &[(&str, &str)]) -> PathBuf {
        let mut text = fs::read_to_string(&self.file).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "the platform file has no {from:?} to change");
            text = text.replacen(from, to, 1);
        }
        let path = self.directory.join(format!("{name}.toml"));
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs `script` as root on `host`, past SSH; it must succeed.
    pub fn on(&self, host: &str, script: &str) -> String {
        let ran = self.try_on(host, script);
        assert_eq!(ran.code, Some(0), "on {host}: {script}\n{}{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    /// Runs `script` as root on `host`, past SSH.
    pub fn try_on(&self, host: &str, script: &str) -> Ran {
        let file = self.file.to_str().unwrap();
        within(ON_A_HOST, &["--platform", file, "lab", "exec", host, "--", "sh", "-c", script])
    }

    /// Applies; the run must succeed, and the hosts must be as the platform file says then.
    pub fn heal(&self) {
        self.run(&["apply"]).expect(0);
        self.run(&["plan", "--exit-code"]).expect(0);
    }

    /// Takes the lab down.
    pub fn down(&self) -> Result<(), String> {
        let ran = self.run(&["down"]);
        if ran.code == Some(0) { Ok(()) } else { Err(format!("{ran:?}")) }
    }

    /// The directory in which the lab keeps what the operator has.
    pub fn operator_directory(&self) -> PathBuf {
        Path::new("/var/lib/bastide/labs").join(&self.name).join("operator")
    }

    fn discard(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes every lab down that this run of the tests booted.
    pub fn take_down_all() -> Result<(), String> {
        let stages = std::mem::take(&mut *MADE.lock().unwrap_or_else(PoisonError::into_inner));
        let downs: Vec<_> = stages.iter().map(Stage::down).collect();
        for stage in &stages {
            stage.discard().map_err(|error| format!("remove {}: {error}", stage.directory.display()))?;
        }
        downs.into_iter().collect()
    }
}

impl Ran {
    /// What came of `command`.
    pub fn of(command: &str, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            command: command.to_owned(),
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Fails unless the run ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "`{}` said:\n{}{}", self.command, self.stdout, self.stderr);
        self
    }

    /// Fails unless the run said `text`, on standard output or standard error.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(said, "`{}` did not say {text:?}:\n{}{}", self.command, self.stdout, self.stderr);
        self
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("`{}` printed no JSON ({error}):\n{}{}", self.command, self.stdout, self.stderr)
        })
    }
}

/// Runs the program.
pub fn program(arguments: &[&str]) -> Ran {
    within(LONGEST, arguments)
}

fn within(seconds: u32, arguments: &[&str]) -> Ran {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", &seconds.to_string()]).arg(bastide()).args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    ran(&arguments.join(" "), &output)
}

/// Waits for the end of a run that was started with [`Stage::command`].
pub fn finish(child: Child) -> Ran {
    ran("in the background", &child.wait_with_output().unwrap())
}

fn ran(command: &str, output: &Output) -> Ran {
    let ran = Ran::of(command, output);
    crate::secrets::remember(&ran);
    ran
}

/// The program under test: what the Makefile built, or what cargo built for this test.
pub fn bastide() -> PathBuf {
    std::env::var_os("BASTIDE").map_or_else(|| env!("CARGO_BIN_EXE_bastide").into(), PathBuf::from)
}

/// Asks until there is an answer, within `seconds`.
#[track_caller]
pub fn eventually<T>(what: &str, seconds: u64, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Has the labs taken down when a person interrupts the tests.
pub fn leave_nothing_when_interrupted() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            eprintln!("interrupted: taking the labs down");
            if let Err(error) = Stage::take_down_all() {
                eprintln!("{error}");
            }
            std::process::exit(130);
        }
    });
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    uids.split_whitespace().nth(1) == Some("0")
}
