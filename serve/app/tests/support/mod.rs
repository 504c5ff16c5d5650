//! What the tests of the real binary share: the servers, the application, and those who ask it.

// Each test program uses a part of it.
#![allow(dead_code, clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub mod application;
pub mod browser;
pub mod receiver;
pub mod seed;
pub mod stage;
