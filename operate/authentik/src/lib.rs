//! Authentik, made what a platform file says: its clients, the four sources, and the keys that it signs with.
//!
//! `bastide` puts this program on the identity host, where it asks Authentik's API on the loopback address. It is a program
//! of its own because the typed client of that API is eighty thousand lines, which nothing else of the platform needs.

mod api;
mod converge;
mod request;
mod wanted;

pub use api::{Api, ApiError};
pub use converge::{Mode, converge};
pub use wanted::{Algorithm, AppleKey, Client, Kind, Secrets, Source, Wanted, WantedError};
