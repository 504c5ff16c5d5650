//! The border of an API: one layer around a router that lets nothing out that is not an answer of ours.
//!
//! Every request gets its context; what is too large, too slow or panics becomes a problem; every problem says which
//! request it is about; every error that is not a problem yet becomes one; every request has its log line and metrics.

mod unread;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;

use crate::extract::BodyLimits;
use crate::problem::{self, Code, Problem, codes};
use crate::request::{self, Contexts};
use crate::telemetry::{Line, Metrics, Seen};
use unread::Unread;

/// What passes the border.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bodies, where a route has no limits of its own.
    pub body: BodyLimits,
    /// Headers, in number.
    pub headers: usize,
    /// Names and values of all headers together, in bytes.
    pub header_bytes: usize,
    /// Path and query, in bytes.
    pub uri_bytes: usize,
    /// From the headers to the answer's headers.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: BodyLimits::default(),
            headers: 100,
            header_bytes: 32 << 10,
            uri_bytes: 8 << 10,
            time: Duration::from_secs(30),
        }
    }
}

/// What the border needs.
#[derive(Debug)]
pub struct Border {
    /// Makes the context of each request.
    pub contexts: Contexts,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What passes.
    pub limits: Limits,
}

/// Puts the border around `router`, whose state is complete. Paths and methods that it does not have are problems.
pub fn around(router: Router, border: Border) -> Router {
    router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn_with_state(Arc::new(border), pass))
}

async fn pass(State(border): State<Arc<Border>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let context = border.contexts.of(&request);
    let uri = request.uri().clone();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let line = Line::of(route.clone());
    let in_flight = border.metrics.enter();
    let unread = Unread::of(&mut request);

    let work = async {
        let refused = too_much(&request, &border.limits);
        let extensions = request.extensions_mut();
        extensions.insert(context.clone());
        if extensions.get::<BodyLimits>().is_none() {
            extensions.insert(border.limits.body);
        }
        let response = match refused {
            Some(problem) => problem.into_response(),
            None => answer(request, next, border.limits.time).await,
        };
        let mut response = problem::complete(as_problem(response), &context.request_id, &uri);
        request::name(&context, response.headers_mut());
        let seen = Seen {
            method: &method,
            route: route.as_ref().map(MatchedPath::as_str),
            status: response.status(),
            problem: problem::kind(&response),
            elapsed: started.elapsed(),
        };
        border.metrics.record(&seen, &context, border.contexts.clock.now());
        Line::say(|line| line.write(&seen));
        if let Some(unread) = unread {
            unread.discard().await;
        }
        response
    };
    let response = request::within(context.clone(), line.around(work)).await;
    drop(in_flight);
    response
}

/// The router's answer, in time and without a panic.
async fn answer(request: Request, next: Next, limit: Duration) -> Response {
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            // Where it happened it was said as an error.
            tracing::warn!(panic = said(panic.as_ref()), "a handler panicked");
            Problem::new(&codes::INTERNAL).into_response()
        }
        Err(_) => {
            tracing::error!(seconds = limit.as_secs_f64(), "a handler was given up after its time limit");
            Problem::new(&codes::TIMED_OUT)
                .detail(format!("The work was given up after {} seconds.", limit.as_secs_f64()))
                .header(RETRY_AFTER, HeaderValue::from_static("2"))
                .into_response()
        }
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("something that is not text")
}

fn too_much(request: &Request, limits: &Limits) -> Option<Problem> {
    let length = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
    if length > limits.uri_bytes {
        let detail = format!("The limit is {} bytes.", limits.uri_bytes);
        return Some(Problem::new(&codes::URI_TOO_LONG).detail(detail));
    }
    let headers = request.headers();
    if headers.len() > limits.headers || size(headers) > limits.header_bytes {
        let detail = format!("The limits are {} headers and {} bytes.", limits.headers, limits.header_bytes);
        return Some(Problem::new(&codes::HEADERS_TOO_LARGE).detail(detail));
    }
    None
}

fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Errors that a library answered by itself, as plain text or with nothing, become problems. Pages stay.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || problem::kind(&response).is_some() {
        return response;
    }
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !kind.is_empty() && !kind.starts_with(b"text/plain") {
        return response;
    }
    let (parts, _) = response.into_parts();
    let mut problem = Problem::new(kind_of(status.as_u16()));
    for name in [axum::http::header::ALLOW, RETRY_AFTER, axum::http::header::WWW_AUTHENTICATE] {
        for value in parts.headers.get_all(&name) {
            problem = problem.header(name.clone(), value.clone());
        }
    }
    problem.into_response()
}

fn kind_of(status: u16) -> &'static Code {
    match status {
        401 => &codes::UNAUTHENTICATED,
        404 => &codes::NOT_FOUND,
        405 => &codes::METHOD_NOT_ALLOWED,
        408 => &codes::BODY_TOO_SLOW,
        413 => &codes::BODY_TOO_LARGE,
        414 => &codes::URI_TOO_LONG,
        415 => &codes::CONTENT_TYPE_UNSUPPORTED,
        422 => &codes::VALIDATION_FAILED,
        429 => &codes::RATE_LIMITED,
        431 => &codes::HEADERS_TOO_LARGE,
        503 => &codes::UNAVAILABLE,
        500.. => &codes::INTERNAL,
        _ => &codes::REQUEST_REFUSED,
    }
}

#[cfg(test)]
#[path = "border_tests.rs"]
mod tests;
