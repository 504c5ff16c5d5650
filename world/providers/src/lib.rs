//! Google, GitHub, Microsoft Entra ID and Apple, as far as signing in with them goes: each refuses what the real one refuses,
//! answers in the same form, and can be told to lie.
//!
//! A plain form asks who signs in. Whoever is named has an account with each of them; what an account says can be changed.

mod apple;
mod assertion;
mod config;
mod control;
mod fault;
mod fields;
mod flow;
mod gate;
mod github;
mod google;
mod handle;
mod keys;
mod microsoft;
mod page;
mod people;
mod provider;
mod registration;
mod token;
mod world;

pub use config::{Config, ConfigError, serve};
pub use fault::Fault;
pub use handle::Providers;
pub use people::{Account, COMPANY, CONSUMERS, STRICT_COMPANY};
pub use provider::Provider;
pub use registration::{Proof, Registration};
