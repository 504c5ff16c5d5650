//! The login providers: where people are sent, and who comes back.

mod apple;
mod assertion;
mod callback;
mod description;
mod error;
mod form_post;
mod github;
mod google;
mod health;
mod id_token;
mod keys;
mod manner;
mod metrics;
mod microsoft;
mod notifications;
mod openid_connect;
mod person;
mod redeem;
pub mod refresh;
mod returned;
mod source;
mod start;
mod watch;
mod wire;

use std::sync::Arc;

use axum::routing::{get, post};
use axum::{Extension, Router};
use foundation::clock::{Clock, Randomness};
use foundation::extract::BodyLimits;
use foundation::http_client::HttpClient;
use foundation::telemetry::Metrics;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use url::Url;

use crate::settings::Settings;
use crate::state::Broker;
use source::Source;

pub use health::Standing;

/// Longer than anything that a login provider posts.
const LONGEST_POST: usize = 32 << 10;

/// Where people leave for a login provider, and where they come back.
pub fn routes() -> Router<Arc<Broker>> {
    let limits = BodyLimits { bytes: LONGEST_POST, ..BodyLimits::default() };
    Router::new()
        .route("/attempts/{state}/{provider}", post(start::start))
        .route("/callback/{provider}", get(callback::callback).post(form_post::receive))
        .route("/callback/{provider}/continue", get(form_post::proceed))
        .route("/notifications/{provider}", post(notifications::receive))
        .layer(Extension(limits))
}

/// The login providers that are configured.
#[derive(Debug)]
pub struct Upstreams(Arc<[Source]>);

impl Upstreams {
    /// Nothing is asked yet: the issuer starts without them.
    pub fn new(
        settings: &Settings,
        public_url: &Url,
        http: &HttpClient,
        (clock, randomness): &(Arc<dyn Clock>, Arc<dyn Randomness>),
    ) -> Self {
        // What nobody may have is not kept.
        let keeps_tokens = settings.clients.iter().any(|client| client.may_exchange);
        let source = |provider| {
            let made_by = (Arc::clone(clock), Arc::clone(randomness));
            Source::new(provider, public_url, keeps_tokens, http.clone(), made_by)
        };
        Self(settings.providers.iter().map(source).collect())
    }

    /// Tells the metrics of them.
    pub fn register(&self, metrics: &Metrics) {
        let reading = metrics::Reading(Arc::clone(&self.0));
        metrics.register(|registry| registry.register_collector(Box::new(reading)));
    }

    /// Looks after them from now on.
    pub fn watch(&self) {
        watch::watch(&self.0);
    }

    fn named(&self, name: &str) -> Option<&Source> {
        self.0.iter().find(|source| source.provider.name == name)
    }
}

/// Whether people can sign in with each login provider, by its name and in the order of the buttons.
pub fn status(broker: &Broker) -> Vec<(&str, Standing)> {
    let of = |source: &Source| source.wire.health.standing();
    broker.upstreams.0.iter().map(|source| (source.provider.name.as_str(), of(source))).collect()
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
    /// When the person signed in there, where the login provider was asked for that.
    #[serde(default, with = "time::serde::timestamp::option")]
    pub authenticated_at: Option<OffsetDateTime>,
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

#[cfg(test)]
mod tests;
