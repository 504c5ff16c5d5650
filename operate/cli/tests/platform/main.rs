//! The platform end to end, in a lab: built, proven, broken, healed, taken down.
//!
//! One lab serves all tests, which run one after the other in the order of this file, because building it takes
//! minutes. It is booted by the first test that needs it and taken down at the end, whatever happened in between.
//! Those tests need root and are ignored by a plain `cargo test`; `make test` includes them.

// A test that finds what it does not expect fails by panicking.
#![allow(clippy::unwrap_used)]

mod another_platform;
mod application;
mod bad_hosts;
mod bad_input;
mod breakage;
mod breakages;
mod building;
mod checks;
mod drift;
mod interruptions;
mod issuer;
mod lock_out;
mod locks;
mod machine;
mod power;
mod secrets;
mod sign_in;
mod stage;
mod taking_down;

use libtest_mimic::{Arguments, Trial};
use stage::Stage;
use std::process::ExitCode;

/// A test by its name.
type Test = (&'static str, fn());

/// Tests of the program alone.
const HERE: &[&[Test]] = &[bad_input::TESTS];

/// Tests of the lab's platform, in their order.
const IN_THE_LAB: &[&[Test]] = &[
    building::TESTS,
    application::TESTS,
    application::outside::TESTS,
    issuer::TESTS,
    sign_in::TESTS,
    drift::TESTS,
    checks::TESTS,
    bad_hosts::TESTS,
    interruptions::TESTS,
    locks::TESTS,
    lock_out::TESTS,
    power::TESTS,
    secrets::TESTS,
    taking_down::TESTS,
    another_platform::TESTS,
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share a lab.
    arguments.test_threads = Some(1);
    let here = HERE.iter().copied().flatten().map(|(name, test)| trial(name, *test));
    let lab = IN_THE_LAB
        .iter()
        .copied()
        .flatten()
        .map(|(name, test)| trial(name, *test).with_kind("needs root and a lab").with_ignored_flag(true));
    stage::leave_nothing_when_interrupted();
    let conclusion = libtest_mimic::run(&arguments, here.chain(lab).collect());
    sign_in::close_browser();
    let left = Stage::take_down_all();
    match left {
        Ok(()) => conclusion.exit_code(),
        Err(error) => {
            eprintln!("taking the labs down failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn trial(name: &'static str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}
