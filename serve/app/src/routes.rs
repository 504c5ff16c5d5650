//! Every path of the application, in one place.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use foundation::problem::{Problem, codes};
use url::Url;

use crate::stores::Stores;
use crate::telemetry::{Telemetry, observe};
use crate::{health, page, pings};

/// What every request may use.
pub struct App {
    /// Where things are kept.
    pub stores: Stores,
    /// The metrics.
    pub telemetry: Telemetry,
    /// The name of what is deployed.
    pub release: String,
    /// Where people and agents reach the application.
    pub public_url: Url,
}

/// The application's paths.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::home))
        .route("/style.css", get(page::style))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/api/v1/pings", post(pings::create))
        .route("/api/v1/pings/{id}", get(pings::show))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&app), observe))
        .with_state(app)
}

/// For every path that is not there.
pub async fn not_found() -> Problem {
    Problem::new(&codes::NOT_FOUND)
}

/// For every method that a path does not have; the router adds `Allow`.
async fn method_not_allowed() -> Problem {
    Problem::new(&codes::METHOD_NOT_ALLOWED)
}
