//! What every API on the platform gets: one module a property, each usable alone on an axum router.

pub mod clock;
pub mod database;
pub mod environment;
pub mod migrate;
pub mod problem;
pub mod server;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod valkey;
