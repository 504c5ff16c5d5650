//! What stands before each of them: it counts, and can be down, slow or endless.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State as Shares};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse as _, Response};

use crate::fault::Fault;
use crate::provider::Provider;
use crate::world::{Asked, World};
use crate::{apple, github, google, microsoft};

/// Longer than anybody reads.
const ENDLESS: usize = 8 << 20;

/// All of one provider.
pub(crate) fn provider(world: &Arc<World>, provider: Provider) -> Router {
    let router = match provider {
        Provider::Google => google::router(Arc::clone(world)),
        Provider::Github => github::router(Arc::clone(world)),
        Provider::Microsoft => microsoft::router(Arc::clone(world)),
        Provider::Apple => apple::router(Arc::clone(world)),
    };
    router.layer(from_fn_with_state((Arc::clone(world), provider), pass))
}

async fn pass(
    Shares((world, provider)): Shares<(Arc<World>, Provider)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let entry = Asked {
        peer: request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip()),
        method: request.method().to_string(),
        path: path.clone(),
    };
    let fault = world.change(|state| {
        let service = state.service(provider);
        service.note(entry);
        service.fault.clone()
    });
    let for_token = path.ends_with("/token") || path.ends_with("/access_token");
    match fault {
        Some(Fault::Down) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Fault::TooLong) => return Body::from(vec![b' '; ENDLESS]).into_response(),
        Some(Fault::Slow { milliseconds }) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
        Some(Fault::TokenRedirects { to }) if for_token => {
            return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to.to_string())]).into_response();
        }
        Some(Fault::Redirects { to }) => {
            return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to.to_string())]).into_response();
        }
        Some(Fault::Nonsense) if for_token => {
            return Html("<!doctype html>\n<title>Oops</title>\n").into_response();
        }
        _ => {}
    }
    next.run(request).await
}
