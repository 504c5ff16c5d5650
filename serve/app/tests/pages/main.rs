//! The pages of the real binary in a real browser: one module an area.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod keyboard;
mod organization;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
mod work;

use support::stage;

/// Where people reach the application.
const SITE: &str = "https://app.example.test";
