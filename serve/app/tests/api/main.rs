//! The API of the real binary against real servers: one module a resource.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agents;
mod audit;
mod invitations;
mod members;
mod organizations;
mod purge;
mod schemathesis;
mod sessions;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../src/tasks/tests.rs"]
mod tasks;
mod tenancy;
mod tokens;

use support::stage;
