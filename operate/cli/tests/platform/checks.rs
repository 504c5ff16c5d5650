//! Every check can fail: each is seen failing here, after something was broken on a host.

use crate::Test;
use crate::breakage::{self, Breakage};
use crate::breakages::{self, JUDGED_BY_UNIT_TESTS};
use crate::building::built;
use crate::stage::{PLATFORM, eventually};
use std::collections::BTreeSet;

pub const TESTS: &[Test] = &[
    ("every_check_is_seen_failing_here_or_named_with_its_unit_test", every_check_is_covered),
    ("checks_of_hosts_notice_what_is_broken", || notice(breakages::HOSTS)),
    ("checks_of_the_network_notice_what_is_broken", || notice(breakages::NETWORK)),
    ("checks_of_services_notice_what_is_broken", || notice(breakages::SERVICES)),
    ("checks_of_services_notice_what_is_broken_in_secret", || notice(breakages::SERVICES_AGAIN)),
    ("checks_of_the_issuer_notice_what_is_broken", || notice(breakages::ISSUER)),
    ("checks_of_the_issuer_notice_another_name", || notice(breakages::ISSUER_AGAIN)),
    ("checks_of_signing_in_notice_cookies_that_scripts_can_read", || notice(breakages::COOKIES)),
    ("all_checks_pass_again", all_pass_again),
];

const ALL: [&[Breakage]; 7] = [
    breakages::HOSTS,
    breakages::NETWORK,
    breakages::SERVICES,
    breakages::SERVICES_AGAIN,
    breakages::ISSUER,
    breakages::ISSUER_AGAIN,
    breakages::COOKIES,
];

fn notice(group: &[Breakage]) {
    built();
    let unnoticed = breakage::unnoticed(group);
    PLATFORM.heal();
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}

fn every_check_is_covered() {
    built();
    let ids: BTreeSet<String> = breakage::verify().into_keys().map(|(id, _)| id).collect();
    let seen = ALL.iter().copied().flatten().flat_map(|breakage| breakage.noticed_by);
    let covered: BTreeSet<&str> =
        seen.map(|(id, _)| *id).chain(JUDGED_BY_UNIT_TESTS.iter().map(|(id, _)| *id)).collect();
    // One check a pair of places, all by the same code.
    let same_code = |id: &str| id.starts_with("reachability/") && id.contains("-to-");
    let never: Vec<_> = ids.iter().filter(|id| !covered.contains(id.as_str()) && !same_code(id)).collect();
    assert!(never.is_empty(), "nothing shows that these checks can fail: {never:#?}");
    let gone: Vec<_> = covered.iter().filter(|id| !ids.contains(**id)).collect();
    assert!(gone.is_empty(), "these checks do not exist (any more): {gone:#?}");
}

/// Waits until every check passes.
pub fn all_pass_again() {
    built();
    eventually("every check passes after everything was healed", 90, || {
        let outcomes = breakage::verify();
        let failed: Vec<_> = outcomes.iter().filter(|(_, (status, _))| status != "pass").collect();
        if failed.is_empty() {
            return Some(());
        }
        eprintln!("still failing: {failed:#?}");
        None
    });
}
