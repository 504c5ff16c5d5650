//! The pages in a real browser: as different people have them, and without a mouse.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod account;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
mod ways;
#[allow(dead_code, reason = "what others ask of the world is not asked here")]
#[path = "../upstream/scene.rs"]
mod world;

use foundation::testing::chromium::Browser;
use support::stage::{ISSUER, Stage};

/// A browser that finds the issuer.
async fn browser(stage: &Stage) -> Browser {
    Browser::start(ISSUER, &[("id.example.test", stage.issuer.port)]).await
}
