//! Every path of the application, in one place.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use foundation::border::{self, Border};
use foundation::health::{self, Health};
use foundation::problem::pages;
use foundation::problem::registry::Registry;
use url::Url;

use crate::stores::Stores;
use crate::{home, pings};

/// What every request may use.
pub struct App {
    /// Where things are kept.
    pub stores: Stores,
    /// Whether they answer.
    pub health: Arc<Health>,
    /// The name of what is deployed.
    pub release: String,
    /// Where people and agents reach the application.
    pub public_url: Url,
}

/// The application's paths, within its border.
pub fn router(app: Arc<App>, problems: &Registry, border: Border) -> Router {
    let probes = health::router(Arc::clone(&app.health));
    let router = Router::new()
        .route("/", get(home::show))
        .route("/api/v1/pings", post(pings::create))
        .route("/api/v1/pings/{id}", get(pings::show))
        .with_state(app)
        .merge(probes)
        .merge(pages::router(problems));
    border::around(router, border)
}
