//! Who asks, and what they may: people by a session's cookie, agents by a bearer token, one [`actor::Actor`] for both.

pub mod delegation;
pub mod scope;
pub mod token;
