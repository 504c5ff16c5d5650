//! What every API on the platform gets: one module a property, each usable alone on an axum router.

pub mod clock;
pub mod problem;
