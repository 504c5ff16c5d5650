//! Every path of the issuer, in one place.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use foundation::border::{self, Border};
use foundation::health;

use crate::state::Broker;
use crate::{pages, provider, upstream};

/// The issuer's paths, within its border.
pub fn router(broker: Arc<Broker>, border: Border) -> Router {
    let probes = health::router(Arc::clone(&broker.health));
    let router = Router::new()
        .merge(provider::routes())
        .merge(upstream::routes())
        .merge(pages::routes())
        .with_state(broker)
        .merge(probes);
    border::around(router, border).layer(from_fn(pages::finish::finish))
}
