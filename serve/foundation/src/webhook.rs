//! Webhooks as Standard Webhooks 1.0.0 has them: signed, tried again, delivered to public addresses and nowhere else.

pub mod address;
pub mod client;
pub mod resolve;
pub mod seal;
pub mod sign;
