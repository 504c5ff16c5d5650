//! Each refusal of the real services is one here, and what they allow works.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod apple;
mod control;
mod github;
mod google;
mod microsoft;
mod prompts;
mod scene;
