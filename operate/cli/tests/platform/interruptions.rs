//! Runs that end in the middle: nothing is half-written, and the next run completes.

use crate::Test;
use crate::bad_hosts::{free_package_lock, hold_package_lock, remove_package};
use crate::building::built;
use crate::stage::{PLATFORM, Ran, eventually, finish};
use std::process::{Child, Command};

pub const TESTS: &[Test] = &[
    ("an_interrupted_run_says_so_and_the_next_completes", || ends_in_the_middle(interrupt, "interrupted")),
    ("a_lost_connection_is_reported_and_the_next_run_completes", || {
        ends_in_the_middle(lose_the_connections, "was lost");
    }),
    ("a_killed_agent_is_reported_and_the_next_run_completes", || {
        ends_in_the_middle(kill_the_agent, "was lost");
    }),
];

/// The host on which the run is when it ends.
const HOST: &str = "identity";

/// Starts an apply that waits in the middle of a resource of [`HOST`], which installs a package.
pub fn apply_in_the_middle() -> Child {
    remove_package(HOST);
    hold_package_lock(HOST);
    let child = PLATFORM.command(&["apply"]).spawn().unwrap();
    eventually("apply installs a package", 60, || {
        (PLATFORM.try_on(HOST, "pgrep -f '[a]pt-get install'").code == Some(0)).then_some(())
    });
    child
}

/// Lets what waits in the middle of its resource go on.
pub fn let_it_go_on() {
    free_package_lock(HOST);
}

fn ends_in_the_middle(end: fn(&Child), message: &str) {
    built();
    let child = apply_in_the_middle();
    end(&child);
    let ran: Ran = finish(child);
    let_it_go_on();
    ran.expect(1).says(message);
    eventually("the lock of the run that ended is free and the next run completes", 90, || {
        let ran = PLATFORM.run(&["apply"]);
        (ran.code == Some(0)).then_some(())
    });
    PLATFORM.run(&["plan", "--exit-code"]).expect(0);
    let left =
        PLATFORM.on(HOST, "find /etc /usr/local /var/lib/bastide -xdev -name '*bastide-new*'; dpkg --audit");
    assert_eq!(left.trim(), "", "something was left half-done");
}

fn interrupt(child: &Child) {
    kill("-INT", &[child.id().to_string()]);
}

/// Kills every ssh of this platform, as a connection that breaks ends them.
fn lose_the_connections(_: &Child) {
    let config = PLATFORM.operator_directory().join("ssh");
    let config = config.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let id = entry.file_name().into_string().ok().filter(|name| name.parse::<u32>().is_ok())?;
        let arguments = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        (arguments.starts_with("ssh") && arguments.contains(config)).then_some(id)
    });
    kill("-KILL", &processes.collect::<Vec<_>>());
}

fn kill_the_agent(_: &Child) {
    PLATFORM.on(HOST, "kill -KILL $(pgrep -f '^/var/lib/bastide/agent/.* agent serve')");
}

/// Some of `processes` end by themselves once others have ended.
pub fn kill(signal: &str, processes: &[String]) {
    assert!(!processes.is_empty(), "there is nothing to end");
    let _ended = Command::new("kill").arg(signal).args(processes).output().unwrap();
}
