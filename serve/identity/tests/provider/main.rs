//! What the issuer is to its clients, by the real binary against a real database: one module an endpoint.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod audit;
mod authorize;
mod back_channel;
mod clients;
mod codes;
mod discovery;
mod exchange;
mod keys;
mod logout;
mod refresh;
mod scene;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
