//! What the lab's tests share: descriptions, a lab that goes when its test ends, and a picture of the machine.

// Each test binary uses a part of it, and what fails here fails a test.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bastide_lab::{Lab, LabHost, LabOs, LabSpec};
use rustix::process::{Pid, Signal, kill_process};

/// How long a whole `up` may take, including the images.
const UP_DEADLINE: Duration = Duration::from_secs(300);
const CHILD_SPEC: &str = "BASTIDE_LAB_TEST_SPEC";
const CHILD_TEST: &str = "needs_root_up_in_a_process_of_its_own";
const PROGRESS: &str = "progress: ";

/// The tests of one binary take turns: some of them compare the whole machine before and after.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lab of two hosts in a network that no other lab on this machine has.
pub fn spec(name: &str) -> LabSpec {
    // What an earlier, killed run of the tests left would be in the way.
    if let Ok(stale) = Lab::open(name) {
        stale.down(&|_| {}).unwrap();
    }
    let taken: Vec<_> = Lab::list()
        .unwrap()
        .iter()
        .filter_map(|name| Lab::open(name).ok())
        .map(|lab| lab.spec().public_network)
        .collect();
    // The documentation range has room for four labs; the range for benchmarks is as little in use elsewhere.
    let quarters = [64, 128, 192, 0].map(|last| Ipv4Addr::new(198, 51, 100, last));
    let more = [0, 64, 128, 192].map(|last| Ipv4Addr::new(198, 18, 51, last));
    let network = quarters
        .into_iter()
        .chain(more)
        .find(|first| taken.iter().all(|network| !network.contains(first)))
        .expect("a network is free");
    let public = |last: u32| Ipv4Addr::from(u32::from(network) + last);
    let host = |name: &str, last, gateway: bool| LabHost {
        name: name.to_owned(),
        private_address: Ipv4Addr::new(10, 0, 0, last),
        public_address: gateway.then(|| public(10)),
        os: LabOs::Debian14,
        gateway,
    };
    LabSpec {
        name: name.to_owned(),
        domain: format!("{name}.test"),
        public_network: format!("{network}/26").parse().unwrap(),
        private_network: "10.0.0.0/24".parse().unwrap(),
        hosts: vec![host("edge", 2, true), host("app", 3, false)],
        cdn: true,
        names: vec![format!("{name}.test"), format!("id.{name}.test")],
        issuer: None,
    }
}

/// A lab that is taken down when its test ends, however it ends.
#[derive(Debug)]
pub struct Fixture(Option<Lab>);

impl Fixture {
    pub fn up(spec: &LabSpec) -> Self {
        Self(Some(Lab::up(spec, &|line| eprintln!("{}: {line}", spec.name)).unwrap()))
    }

    pub fn up_again(mut self) -> Self {
        let lab = self.0.take().unwrap();
        Self::up(lab.spec())
    }

    pub fn down(mut self) {
        self.0.take().unwrap().down(&|_| {}).unwrap();
    }
}

impl Deref for Fixture {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        self.0.as_ref().unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(lab) = self.0.take() {
            let result = lab.down(&|_| {});
            if let Err(error) = result {
                eprintln!("down: {error}");
                assert!(std::thread::panicking(), "{error}");
            }
        }
    }
}

/// Runs a command by SSH as the operator does: on the edge, or through it on the host at `behind`.
pub fn ssh(lab: &Lab, argv: &[&str], behind: Option<Ipv4Addr>) -> String {
    let edge = format!("root@{}", lab.spec().hosts[0].public_address.unwrap());
    let options = [
        "-i".to_owned(),
        lab.ssh_key().display().to_string(),
        format!("-oUserKnownHostsFile={}", lab.known_hosts().display()),
        "-oStrictHostKeyChecking=yes".to_owned(),
        "-oBatchMode=yes".to_owned(),
        "-oConnectTimeout=10".to_owned(),
    ];
    let mut command = Command::new("ssh");
    command.args(&options);
    match behind {
        None => command.arg(edge),
        Some(address) => command
            .arg(format!("-oProxyCommand=ssh {} -W %h:%p {edge}", options.join(" ")))
            .arg(format!("root@{address}")),
    };
    let output = command.args(argv).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output)
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Kills every process in a control group of the lab at once; returns how many there were.
pub fn kill_everything_of(lab: &str) -> usize {
    let group = format!("0::/bastide/{lab}/");
    let processes: Vec<Pid> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            std::fs::read_to_string(entry.path().join("cgroup"))
                .is_ok_and(|text| text.lines().any(|line| line.starts_with(&group)))
        })
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .collect();
    for &pid in &processes {
        // Some end by themselves once the first of their namespace is gone.
        let _gone = kill_process(pid, Signal::KILL);
    }
    processes.len()
}

/// Asks until the answer satisfies, within `seconds`.
pub fn eventually<T: std::fmt::Debug>(
    seconds: u64,
    ask: impl Fn() -> T,
    satisfies: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let answer = ask();
        if satisfies(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "after {seconds} s still {answer:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// `up` of a lab in a process of its own, which can be killed.
#[derive(Debug)]
pub struct UpInAnotherProcess {
    child: Child,
    lines: Receiver<String>,
}

impl UpInAnotherProcess {
    pub fn start(spec: &LabSpec) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD_TEST, "--ignored", "--nocapture"])
            .env(CHILD_SPEC, serde_json::to_string(spec).unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some((_, step)) = line.split_once(PROGRESS)
                    && sender.send(step.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits for the end and returns the steps; fails if `up` failed.
    pub fn finish(mut self) -> Vec<String> {
        let steps = std::iter::from_fn(|| self.lines.recv_timeout(UP_DEADLINE).ok()).collect();
        assert!(self.child.wait().unwrap().success());
        steps
    }

    /// Kills the process `later` than it says that it does step number `step`, so that the kill falls anywhere.
    pub fn kill_at(mut self, step: usize, later: Duration) {
        for _ in 0..=step {
            self.lines.recv_timeout(UP_DEADLINE).unwrap();
        }
        std::thread::sleep(later);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The other side of [`UpInAnotherProcess`].
pub fn serve_as_another_process() {
    let Ok(spec) = std::env::var(CHILD_SPEC) else {
        return;
    };
    let spec: LabSpec = serde_json::from_str(&spec).unwrap();
    Lab::up(&spec, &|line| println!("{PROGRESS}{line}")).unwrap();
}

/// A picture of everything on the machine that a lab could leave behind. Other labs may come and go meanwhile.
#[derive(Debug)]
pub struct Snapshot {
    lab: String,
    lines: BTreeSet<String>,
    alone: bool,
}

impl Snapshot {
    pub fn take(lab: &str) -> Self {
        let mut lines = BTreeSet::new();
        for (topic, script) in [
            ("namespace", "ls /run/netns"),
            ("link", "ls /sys/class/net"),
            ("address", "ip -br address | tr -s ' '"),
            ("route", "ip route show table all"),
            ("nft", "nft list ruleset"),
            ("mount", "cut -d' ' -f 2,3 /proc/mounts"),
            ("hosts", "cat /etc/hosts; stat -c '%a %u' /etc/hosts"),
            ("forwarding", "grep . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/forwarding"),
            ("limit", "cat /proc/sys/fs/inotify/max_user_instances"),
            ("process", "ps -eo stat,cgroup | grep -v '^Z' | grep bastide"),
            ("process", "ps -eo stat,args | grep -v '^Z' | grep -e '[s]ystemd-nspawn' -e '[b]astide-lab:'"),
            ("cgroup", "find /sys/fs/cgroup -maxdepth 4 -path '*bastide*'"),
            ("file", "find /run/bastide /var/lib/bastide/labs /run/systemd/nspawn -maxdepth 3"),
        ] {
            let output = Command::new("sh").args(["-c", script]).output().unwrap();
            lines.extend(text(&output).lines().map(|line| format!("{topic}: {line}")));
        }
        Self { lab: lab.to_owned(), lines, alone: Lab::list().unwrap().is_empty() }
    }

    /// Fails if something of the lab is there now; and if no other lab was there, before or now, if anything differs.
    pub fn assert_same_as(&self, before: &Self) {
        let names = [self.lab.clone(), self.lab.replace('-', "_")];
        let left: Vec<_> =
            self.lines.iter().filter(|line| names.iter().any(|name| line.contains(name))).collect();
        assert!(left.is_empty(), "left of lab {}: {left:#?}", self.lab);
        if self.alone && before.alone {
            let differs: Vec<_> = self.lines.symmetric_difference(&before.lines).collect();
            assert!(differs.is_empty(), "the machine is not as it was: {differs:#?}");
        }
    }
}
