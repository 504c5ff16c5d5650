//! Who asks, and what they may: people by a session's cookie, agents by a bearer token, one [`actor::Actor`] for both.

pub mod actor;
pub mod authenticator;
pub mod cookie;
pub mod csrf;
pub mod delegation;
pub mod layer;
pub mod scope;
pub mod session;
pub mod token;
pub mod token_store;
