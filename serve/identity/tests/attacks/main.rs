//! Attacks on sign-ins, one test each, against the real binary with a real database and the world's login providers. The table
//! in `docs/identity-attacks.md` says which defence each of them tries.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod answers;
mod browsers;
mod clients;
mod guesses;
mod hijacking;
mod reach;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
#[allow(dead_code, reason = "what others ask of the world is not asked here")]
#[path = "../upstream/scene.rs"]
mod world;
