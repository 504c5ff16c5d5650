//! Hosts that lose power: nothing gets around the edge meanwhile, and everything comes back by itself.

use crate::Test;
use crate::building::built;
use crate::checks::all_pass_again;
use crate::stage::{PLATFORM, eventually};

pub const TESTS: &[Test] = &[
    ("a_private_host_without_the_edge_has_no_way_out", no_way_out),
    ("hosts_that_all_lost_power_come_back_and_pass_every_check", come_back),
];

const PRIVATE: [&str; 4] = ["app", "db", "cache", "identity"];

fn no_way_out() {
    built();
    let outside = somewhere_on_the_internet();
    let escaped = || PRIVATE.into_iter().filter(|host| reaches(host, &outside)).collect::<Vec<_>>();
    assert_eq!(escaped(), PRIVATE, "through the edge every private host reaches {outside}");
    PLATFORM.run(&["lab", "kill", "edge"]).expect(0);
    let without_the_edge = escaped();
    PLATFORM.run(&["lab", "start", "edge"]).expect(0);
    assert!(without_the_edge.is_empty(), "{without_the_edge:?} reached {outside} without the edge");
    eventually("the edge lets private hosts out again", 60, || (escaped() == PRIVATE).then_some(()));
}

fn come_back() {
    built();
    let hosts = || ["edge"].into_iter().chain(PRIVATE);
    for host in hosts() {
        PLATFORM.run(&["lab", "kill", host]).expect(0);
    }
    for host in hosts() {
        PLATFORM.run(&["lab", "start", host]).expect(0);
    }
    all_pass_again();
    PLATFORM.run(&["plan", "--exit-code"]).expect(0);
}

/// The address of the lab's CDN, which answers on port 443 whoever asks.
fn somewhere_on_the_internet() -> String {
    let labs = PLATFORM.run(&["lab", "status", "--json"]).expect(0).json();
    let mut machines = labs["labs"].as_array().unwrap().iter().flat_map(|lab| {
        let here = lab["name"] == PLATFORM.name.as_str();
        lab["machines"].as_array().unwrap().iter().filter(move |_| here)
    });
    let cdn = machines.find(|machine| machine["name"] == "cdn").unwrap();
    cdn["addresses"][0].as_str().unwrap().to_owned()
}

fn reaches(host: &str, address: &str) -> bool {
    let connect = format!("timeout 5 bash -c '</dev/tcp/{address}/443'");
    PLATFORM.try_on(host, &connect).code == Some(0)
}
