//! For tests: real servers to meet.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, missing_docs)]

pub mod chromium;
mod clients;
pub mod issuer;
pub mod look;
pub mod program;
pub mod servers;
pub mod smtp;
