//! `down` leaves the machine as it was.

use crate::Test;
use crate::building::built;
use crate::machine::Picture;
use crate::stage::{PLATFORM, program};

pub const TESTS: &[Test] = &[("down_leaves_the_machine_as_it_was", leaves_nothing)];

fn leaves_nothing() {
    let Some(before) = &PLATFORM.before else {
        return eprintln!("not tried: the lab was up before the tests and stays");
    };
    built();
    PLATFORM.run(&["down"]).expect(0);
    Picture::take().assert_nothing_left_of(&PLATFORM.name, before);
    let labs = program(&["lab", "status", "--json"]).expect(0).json();
    let labs = labs["labs"].as_array().unwrap().clone();
    assert!(labs.iter().all(|lab| lab["name"] != PLATFORM.name.as_str()), "{labs:?}");
    // Nothing is left to take down, and that is no failure.
    PLATFORM.run(&["down"]).expect(0);
}
