//! What the issuer is to its clients: OpenID Connect and OAuth 2.0.

mod answer;
mod ask;
mod assertion;
mod authorize;
pub mod back_channel;
mod bearer;
mod claims;
mod client;
mod code;
mod codes;
mod discovery;
mod exchange;
mod grant;
mod hint;
mod introspect;
mod issue;
mod logout;
mod parameters;
mod refresh;
mod refusal;
mod revoke;
pub mod sweep;
mod token;
mod userinfo;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use foundation::audit::Origin;
use foundation::request::RequestContext;
use foundation::telemetry::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::keys::Keys;
use crate::state::Broker;

pub use answer::{complete, refuse};

/// What the endpoints for clients share.
#[derive(Debug)]
pub struct Provider {
    /// With what is signed.
    pub keys: Arc<Keys>,
    /// The issuer's description of itself.
    description: Bytes,
    counts: Counts,
}

/// What is counted of clients.
#[derive(Debug, Default)]
struct Counts {
    refused: Family<RefusedLabels, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefusedLabels {
    reason: &'static str,
}

impl Counts {
    /// Counts something that was refused because somebody may be attacking.
    fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&RefusedLabels { reason }).inc();
    }
}

impl Provider {
    /// The issuer of this name.
    #[must_use]
    pub fn new(issuer: &str, keys: Arc<Keys>) -> Self {
        Self { keys, description: discovery::describe(issuer), counts: Counts::default() }
    }

    /// Adds what is counted to the metrics.
    pub fn register(&self, metrics: &Metrics) {
        self.keys.register(metrics);
        let help = "Requests of clients that were refused and may be attacks, by the reason";
        metrics.register(|registry| {
            registry.register("client_requests_refused", help, self.counts.refused.clone())
        });
    }
}

/// The endpoints for clients.
pub fn routes() -> Router<Arc<Broker>> {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery::description))
        .route("/.well-known/oauth-authorization-server", get(discovery::description))
        .route("/keys", get(discovery::keys))
        .route("/authorize", get(authorize::asked).post(authorize::posted))
        .route("/token", post(token::token))
        .route("/userinfo", get(userinfo::show).post(userinfo::posted))
        .route("/introspect", post(introspect::introspect))
        .route("/revoke", post(revoke::revoke))
        .route("/logout", get(logout::asked).post(logout::posted))
}

/// The audit log's word for what a client does, which no person does in the request.
fn origin(context: &RequestContext) -> Origin {
    Origin { actor_kind: "client", ..Origin::of(None, context) }
}
