//! What every API on the platform gets: one module a property, each usable alone on an axum router.

pub mod audit;
pub mod auth;
pub mod border;
pub mod cached;
pub mod clock;
pub mod database;
pub mod download;
pub mod environment;
pub mod etag;
pub mod extract;
#[cfg(test)]
mod garbage;
pub mod health;
pub mod html;
pub mod http_client;
pub mod jobs;
pub mod jwt;
pub mod mail;
pub mod migrate;
pub mod openapi;
pub mod outbox;
pub mod page;
pub mod problem;
pub mod process;
pub mod rate_limit;
pub mod request;
pub mod seal;
pub mod server;
pub mod signing;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod tls;
pub mod valkey;
pub mod webhook;
pub mod write;
