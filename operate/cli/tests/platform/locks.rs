//! One operator changes a host at a time.

use crate::Test;
use crate::building::built;
use crate::interruptions::{apply_in_the_middle, kill, let_it_go_on};
use crate::stage::{PLATFORM, eventually, finish};

pub const TESTS: &[Test] = &[
    ("a_second_apply_says_who_is_at_work", second_says_who),
    ("the_lock_of_a_killed_run_is_free_again", killed_frees),
];

fn second_says_who() {
    built();
    let first = apply_in_the_middle();
    let second = PLATFORM.run(&["apply"]);
    let reader = PLATFORM.run(&["plan"]);
    let_it_go_on();
    second.expect(1).says("is being changed by").says(&format!("(process {})", first.id()));
    // Who only reads is not kept out.
    reader.expect(0);
    finish(first).expect(0);
    PLATFORM.run(&["plan", "--exit-code"]).expect(0);
}

fn killed_frees() {
    built();
    let mut first = apply_in_the_middle();
    kill("-KILL", &[first.id().to_string()]);
    first.wait().unwrap();
    let_it_go_on();
    eventually("the lock of a killed run is free", 60, || {
        (PLATFORM.run(&["apply"]).code == Some(0)).then_some(())
    });
    PLATFORM.run(&["plan", "--exit-code"]).expect(0);
}
