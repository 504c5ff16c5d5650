//! What every API on the platform gets: one module a property, each usable alone on an axum router.

pub mod auth;
pub mod clock;
pub mod database;
pub mod environment;
pub mod etag;
#[cfg(test)]
mod garbage;
pub mod jobs;
pub mod migrate;
pub mod outbox;
pub mod page;
pub mod problem;
pub mod rate_limit;
pub mod server;
pub mod signing;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod valkey;
