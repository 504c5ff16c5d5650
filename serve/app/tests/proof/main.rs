//! What is proven of the whole API, operation after operation as its description lists them: a resource that is added is
//! proven with the others, or the proof fails and names it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_bodies;
mod bad_requests;
mod bad_tokens;
mod client;
mod description;
mod estate;
mod isolation;
mod keys;
mod kills;
mod scene;
mod schemathesis;
mod scopes;
mod snapshot;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use support::stage;
