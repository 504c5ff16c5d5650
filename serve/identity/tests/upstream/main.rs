//! Leaving for login providers and coming back, by the real binary, a real database and the world's login providers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod form_post;
mod notifications;
mod refusals;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod ways;
