//! The API of the real binary against real servers: one module a resource.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../src/agents/tests.rs"]
mod agents;
#[path = "../../src/audit_events/tests.rs"]
mod audit_events;
#[path = "../../src/invitations/tests.rs"]
mod invitations;
mod jobs;
#[path = "../../src/members/tests.rs"]
mod members;
#[path = "../../src/organizations/tests.rs"]
mod organizations;
mod outages;
mod pages;
mod purge;
mod rate_limits;
mod refusals;
mod sessions;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../src/tasks/tests.rs"]
mod tasks;
mod tenancy;
#[path = "../../src/tokens/tests.rs"]
mod tokens;
mod traces;
#[path = "../../src/webhooks/tests.rs"]
mod webhooks;

use support::stage;
