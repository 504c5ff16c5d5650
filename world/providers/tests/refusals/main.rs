//! Each refusal of the real services is one here, and what they allow works.

mod apple;
mod control;
mod github;
mod google;
mod microsoft;
mod scene;
