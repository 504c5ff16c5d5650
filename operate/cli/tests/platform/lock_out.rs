//! A change that would lock the operator out undoes itself.

use crate::Test;
use crate::bad_hosts::hang_up;
use crate::building::built;
use crate::stage::{PLATFORM, eventually};
use std::net::Ipv4Addr;
use std::process::Command;

pub const TESTS: &[Test] =
    &[("firewall_rules_that_would_lock_the_operator_out_revert_by_themselves", reverts)];

/// An address of the lab's internet that belongs to nobody.
const ELSEWHERE: u32 = 60;

/// The operator's machine with a second address, from which it talks to the lab.
struct Moved {
    address: Ipv4Addr,
    network: String,
    interface: String,
}

impl Moved {
    fn elsewhere() -> Self {
        let text = std::fs::read_to_string(&PLATFORM.file).unwrap();
        let network = text.lines().rev().find_map(|line| line.strip_prefix("network = \"")).unwrap();
        let network = network.split('"').next().unwrap().to_owned();
        let base: Ipv4Addr = network.split('/').next().unwrap().parse().unwrap();
        let address = Ipv4Addr::from(u32::from(base) + ELSEWHERE);
        let moved = Self { address, network, interface: format!("bs-{}", PLATFORM.name) };
        ip(&["address", "add", &format!("{address}/32"), "dev", &moved.interface]);
        moved.route_from(address);
        moved
    }

    fn route_from(&self, source: Ipv4Addr) {
        ip(&["route", "replace", &self.network, "dev", &self.interface, "src", &source.to_string()]);
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        self.route_from(Ipv4Addr::from(u32::from(self.address) - ELSEWHERE + 1));
        ip(&["address", "del", &format!("{}/32", self.address), "dev", &self.interface]);
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {output:?}");
}

/// The operator works from an address that only a rule made by hand lets in, and the platform does not know.
fn reverts() {
    built();
    hang_up();
    let moved = Moved::elsewhere();
    PLATFORM.on("edge", &format!("ufw allow proto tcp from {} to any port 22", moved.address));
    let rule = format!("iptables -S ufw-user-input | grep -q -- '-s {}/32'", moved.address);

    // Whatever this run changes, it would be the last: the new rules do not let this address in.
    let applied = PLATFORM.run(&["apply"]);
    applied.expect(1).says("was reverted").says("locked you out");
    eventually("the rule that lets the operator in is back", 10, || {
        (PLATFORM.try_on("edge", &rule).code == Some(0)).then_some(())
    });
    hang_up();
    PLATFORM.run(&["ssh", "edge", "--", "true"]).expect(0);

    drop(moved);
    hang_up();
    PLATFORM.heal();
    assert_ne!(PLATFORM.try_on("edge", &rule).code, Some(0), "the rule made by hand is still there");
}
