//! Every path of the application, in one place.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use foundation::border::{self, Border};
use foundation::health::{self, Health};
use foundation::openapi::{self, Document, DocumentError};
use foundation::problem::pages;
use foundation::problem::registry::Registry;
use url::Url;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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

/// What the description says beside the operations.
#[derive(OpenApi)]
#[openapi(
    info(title = "Reference application", description = "Proves that every store of the platform is reached."),
    tags((name = "pings", description = "A ping is written to every store, and read back from every store."))
)]
struct Described;

/// The operations for programs, each with its description.
fn api() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(pings::create))
        .routes(routes!(pings::show))
}

/// The description of the operations.
///
/// # Errors
/// An operation that answers a problem which is not registered.
pub fn document(problems: &Registry) -> Result<Document, DocumentError> {
    Document::new(&api().into_openapi(), problems)
}

/// The application's paths, within its border.
///
/// # Errors
/// As [`document`].
pub fn router(app: Arc<App>, problems: &Registry, border: Border) -> Result<Router, DocumentError> {
    let probes = health::router(Arc::clone(&app.health));
    let router = Router::new()
        .route("/", get(home::show))
        .merge(api())
        .with_state(app)
        .merge(probes)
        .merge(openapi::router(&document(problems)?))
        .merge(pages::router(problems));
    Ok(border::around(router, border))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current() -> Document {
        document(&Registry::new(&[]).expect("codes")).expect("a document")
    }

    #[test]
    fn the_description_is_complete() {
        assert_eq!(current().gaps(), []);
    }

    #[test]
    fn a_change_of_the_api_is_seen() {
        let committed = include_str!("../openapi.json");
        assert!(
            current().to_json() == committed,
            "the API is not what serve/app/openapi.json says; if that is meant, write it anew and commit it: \
             cargo run -p app -- openapi > serve/app/openapi.json"
        );
    }
}
