//! Tokens of agents: shown once, narrow, and never wider than who made them.

pub use foundation::auth::token_store::{READ, WRITE};
