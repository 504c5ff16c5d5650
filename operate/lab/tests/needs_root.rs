//! The lab's promises, kept on a real machine. Run as root: `cargo test -p bastide-lab -- --ignored`.

mod support;

use std::time::{Duration, Instant};

use bastide_lab::{Lab, LabError};
use support::{Fixture, Snapshot, UpInAnotherProcess, alone, kill_everything_of, spec, ssh, text};

#[test]
#[ignore = "needs root"]
fn needs_root_a_lab_comes_up_answers_by_ssh_only_through_the_edge_and_leaves_nothing() {
    let _alone = alone();
    let before = Snapshot::take("t-life");
    let lab = Fixture::up(&spec("t-life"));
    assert!(lab.status().machines.iter().all(|machine| machine.running), "{:?}", lab.status());

    assert_eq!(ssh(&lab, &["hostname"], None), "edge\n");
    let app = lab.spec().hosts[1].private_address;
    assert_eq!(ssh(&lab, &["hostname"], Some(app)), "app\n");
    assert_eq!(text(&lab.exec("app", &["systemctl", "is-system-running"]).unwrap()), "running\n");

    let again = Instant::now();
    Lab::up(lab.spec(), &|line| panic!("a lab that is up has nothing to do, yet: {line}")).unwrap();
    assert!(again.elapsed() < Duration::from_secs(1), "a no-op took {:?}", again.elapsed());

    let mut other = lab.spec().clone();
    other.cdn = false;
    let refused = Lab::up(&other, &|_| {}).unwrap_err();
    assert!(matches!(&refused, LabError::SpecChanged { difference, .. } if difference == "cdn"), "{refused}");

    lab.down();
    Snapshot::take("t-life").assert_same_as(&before);
    assert!(matches!(Lab::open("t-life").unwrap_err(), LabError::NoSuchLab { .. }));
}

#[test]
#[ignore = "needs root"]
fn needs_root_the_private_network_is_private() {
    let _alone = alone();
    let lab = Fixture::up(&spec("t-private"));
    let acme = format!("</dev/tcp/acme.{}/443", lab.spec().domain);
    let connects =
        |host: &str, to: &str| lab.exec(host, &["timeout", "3", "bash", "-c", to]).unwrap().status.success();
    assert!(connects("edge", &acme), "the edge reaches the internet");
    assert!(!connects("app", &acme), "a private host has no way out before the edge forwards");
    let operator = format!("</dev/tcp/{}/22", lab.operator_address());
    let refused = lab.exec("edge", &["timeout", "2", "bash", "-c", &operator]).unwrap();
    assert_eq!(
        refused.status.code(),
        Some(124),
        "packets to the operator's machine must vanish: {refused:?}"
    );

    let private = lab.spec().private_network.to_string();
    let route = std::process::Command::new("ip")
        .args(["route", "show", "table", "all", "root", &private])
        .output()
        .unwrap();
    assert_eq!(text(&route), "", "this machine has a route to the private network");

    let addresses = lab.exec("app", &["ip", "-6", "address", "show", "dev", "eth0"]).unwrap();
    assert_eq!(text(&addresses), "", "IPv6 could slip past the rules of IPv4");
    assert!(lab.exec("edge", &["sysctl", "-w", "net.ipv4.ip_forward=1"]).unwrap().status.success());
}

#[test]
#[ignore = "needs root"]
fn needs_root_partitions_and_power_losses_happen_and_end() {
    let _alone = alone();
    let lab = Fixture::up(&spec("t-break"));
    let reaches = |from: &str, to: &str| {
        let to = format!("</dev/tcp/{to}/22");
        lab.exec(from, &["timeout", "2", "bash", "-c", &to]).unwrap().status.success()
    };
    let edge = lab.spec().hosts[0].private_address.to_string();
    let app = lab.spec().hosts[1].private_address.to_string();
    assert!(reaches("edge", &app) && reaches("app", &edge));
    lab.partition("edge", "app").unwrap();
    assert!(!reaches("edge", &app) && !reaches("app", &edge));
    lab.heal().unwrap();
    assert!(reaches("edge", &app) && reaches("app", &edge));

    let prepared = lab.exec("app", &["sh", "-c", "echo kept >/root/disk; nft add table ip gone"]).unwrap();
    assert!(prepared.status.success(), "{prepared:?}");
    lab.kill("app").unwrap();
    assert!(matches!(lab.exec("app", &["true"]).unwrap_err(), LabError::NotRunning { .. }));
    assert!(!reaches("edge", &app));
    lab.start("app").unwrap();
    assert_eq!(
        text(&lab.exec("app", &["cat", "/root/disk"]).unwrap()),
        "kept\n",
        "a disk survives a power loss"
    );
    let tables = text(&lab.exec("app", &["nft", "list", "tables"]).unwrap());
    assert!(!tables.contains("gone"), "a machine boots without the rules of its earlier life: {tables}");
    assert!(reaches("edge", &app));

    assert!(matches!(lab.kill("nobody").unwrap_err(), LabError::NoSuchPlace { .. }));
    assert!(matches!(lab.world_exec("app", &["true"]).unwrap_err(), LabError::NoSuchPlace { .. }));
}

#[test]
#[ignore = "needs root"]
fn needs_root_a_host_that_reboots_itself_comes_back() {
    let _alone = alone();
    let lab = Fixture::up(&spec("t-reboot"));
    let boot = || lab.exec("app", &["cat", "/proc/sys/kernel/random/boot_id"]).map(|output| text(&output));
    let before = boot().unwrap();
    // A command that the shutdown takes with it ends with the host.
    lab.exec("app", &["sh", "-c", "systemctl --no-block reboot; exec sleep 600"]).unwrap();
    support::eventually(30, || boot().unwrap_or_default(), |now| !now.is_empty() && *now != before);
    let state = || lab.exec("app", &["systemctl", "is-system-running"]).map(|output| text(&output));
    support::eventually(30, || state().unwrap_or_default(), |state| state == "running\n");
    assert_eq!(ssh(&lab, &["hostname"], Some(lab.spec().hosts[1].private_address)), "app\n");
}

#[test]
#[ignore = "needs root"]
fn needs_root_an_up_that_is_killed_anywhere_is_continued_or_cleaned() {
    let _alone = alone();
    let before = Snapshot::take("t-kill");
    let spec = spec("t-kill");
    // Once without killing, to learn how many steps there are.
    let steps = UpInAnotherProcess::start(&spec).finish();
    assert!(steps.len() >= 3, "{steps:?}");
    Lab::open(&spec.name).unwrap().down(&|_| {}).unwrap();
    for step in 0..steps.len() {
        for milliseconds in [0, 150, 400] {
            UpInAnotherProcess::start(&spec).kill_at(step, Duration::from_millis(milliseconds));
            if milliseconds == 150 {
                drop(Fixture::up(&spec));
            } else if let Ok(lab) = Lab::open(&spec.name) {
                lab.down(&|_| {}).unwrap();
            }
            Snapshot::take("t-kill").assert_same_as(&before);
        }
    }
}

#[test]
#[ignore = "needs root"]
fn needs_root_a_lab_whose_every_process_was_killed_comes_up_again() {
    let _alone = alone();
    let before = Snapshot::take("t-dead");
    let lab = Fixture::up(&spec("t-dead"));
    let written = lab.exec("app", &["sh", "-c", "echo kept >/root/disk"]).unwrap();
    assert!(written.status.success());
    assert!(kill_everything_of("t-dead") > 10);
    let lab = lab.up_again();
    assert_eq!(text(&lab.exec("app", &["cat", "/root/disk"]).unwrap()), "kept\n");
    assert_eq!(ssh(&lab, &["hostname"], None), "edge\n");
    // Again, and this time the lab is taken down dead.
    kill_everything_of("t-dead");
    lab.down();
    Snapshot::take("t-dead").assert_same_as(&before);
}

#[test]
#[ignore = "needs root"]
fn needs_root_two_runs_at_once_make_one_lab() {
    let _alone = alone();
    let spec = spec("t-race");
    let runs = [UpInAnotherProcess::start(&spec), UpInAnotherProcess::start(&spec)];
    for run in runs {
        run.finish();
    }
    let lab = Fixture::up(&spec);
    assert!(lab.status().machines.iter().all(|machine| machine.running));
}

#[test]
#[ignore = "needs root"]
fn needs_root_two_labs_stand_side_by_side() {
    let _alone = alone();
    let one = Fixture::up(&spec("t-one"));
    let other = Fixture::up(&spec("t-two"));
    assert_eq!(ssh(&one, &["hostname"], None), "edge\n");
    let identity = |lab: &Lab| text(&lab.exec("edge", &["cat", "/etc/machine-id"]).unwrap());
    assert_ne!(identity(&one), identity(&other));
    other.down();
    assert_eq!(ssh(&one, &["hostname"], None), "edge\n");
    let site = format!("http://{}/", one.spec().domain);
    let answer = one.world_exec("client", &["curl", "--silent", &site]).unwrap();
    assert!(text(&answer).contains("error 521"), "{answer:?}");

    let mut taken = spec("t-three");
    taken.public_network = one.spec().public_network;
    taken.hosts[0].public_address = one.spec().hosts[0].public_address;
    let refused = Lab::up(&taken, &|_| {}).unwrap_err();
    assert!(matches!(refused, LabError::NetworkInUse { .. }), "{refused}");
    assert!(Lab::open("t-three").is_err());
}

/// Not a test: the process that another test starts and kills.
#[test]
#[ignore = "needs root"]
fn needs_root_up_in_a_process_of_its_own() {
    support::serve_as_another_process();
}
