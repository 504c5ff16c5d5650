//! The login providers: where people are sent, and who comes back.

use std::sync::Arc;

use axum::Router;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::state::Broker;

/// Where people leave for a login provider, and where they come back.
pub fn routes() -> Router<Arc<Broker>> {
    Router::new()
}

/// Somebody who has just proven to a login provider who they are, and what that provider says of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The login provider's name.
    pub provider: String,
    /// What it calls the person, and never changes.
    pub subject: String,
    /// The person's address, where it gave one.
    pub email: Option<Address>,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// An https URL of a picture.
    pub picture: Option<String>,
    /// The login provider's own tokens, where it gave any worth keeping.
    pub tokens: Option<UpstreamTokens>,
}

/// An address, and what it is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address itself.
    pub text: String,
    /// Whether the login provider vouches, now, that it is the person's.
    pub is_vouched: bool,
    /// Whether it is a relay that the login provider made for this site.
    pub is_relay: bool,
}

/// A login provider's own tokens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTokens {
    /// With which the login provider's API is used.
    pub access: String,
    /// With which a new one is had.
    pub refresh: Option<String>,
    /// What they are for.
    pub scope: String,
    /// When the access token ends, where the login provider said so.
    #[serde(with = "time::serde::timestamp::option")]
    pub expires_at: Option<OffsetDateTime>,
}

impl std::fmt::Debug for UpstreamTokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("UpstreamTokens")
            .field("scope", &self.scope)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
