//! What the outside can see of the inside: one JSON log line a request, and metrics by route.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use uuid::Uuid;

use crate::routes::{App, not_found};
use crate::stores::Reached;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Identifiers from outside are taken over only up to this length.
const REQUEST_ID_LENGTH: usize = 128;
/// Seconds. From a cached read to the limit at which a store is given up.
const DURATION_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StoreLabels {
    store: &'static str,
}

/// The application's metrics.
pub struct Telemetry {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    stores: Family<StoreLabels, Gauge>,
}

impl Telemetry {
    /// Registers the metrics; `release` is what the build information says is deployed.
    pub fn new(release: &str) -> Self {
        let mut registry = Registry::with_prefix("app");
        let requests = Family::default();
        let durations =
            Family::<RouteLabels, Histogram>::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        let stores = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from the request's headers to the response's headers",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register("store_up", "Whether the store answered the last readiness check", stores.clone());
        let build = vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("release", release.to_owned())];
        registry.register("build", "What is deployed", Info::new(build));
        Self { registry, requests, durations, stores }
    }

    /// Keeps what a readiness check found.
    pub fn record_reached(&self, reached: Reached) {
        for (store, up) in reached.named() {
            self.stores.get_or_create(&StoreLabels { store }).set(i64::from(up));
        }
    }
}

/// JSON lines on standard output, from level info.
pub fn start_logging() {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(io::stdout)
        .init();
}

/// The pages of the metrics port.
pub fn metrics_router(app: Arc<App>) -> Router {
    Router::new().route("/metrics", get(metrics)).fallback(not_found).with_state(app)
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut text = String::new();
    encode(&mut text, &app.telemetry.registry).expect("writing to a string does not fail");
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

/// Gives every request an identifier, and every answer its log line and its metrics.
pub async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(&request);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    // The template, not the path: labels must stay few however many identifiers there are.
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();

    let mut response = next.run(request).await;

    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    let labels = RouteLabels { method: method_label(&method), route };
    app.telemetry.durations.get_or_create(&labels).observe(elapsed.as_secs_f64());
    let RouteLabels { method: method_name, route } = labels;
    let probe = matches!(route.as_str(), "/livez" | "/readyz");
    app.telemetry.requests.get_or_create(&RequestLabels { method: method_name, route, status }).inc();
    // Probes come every few seconds; only their failures are news.
    if !probe || status >= 500 {
        let duration_ms = (elapsed.as_secs_f64() * 1e6).round() / 1e3;
        tracing::info!(request_id, method = method.as_str(), path, status, duration_ms, "request");
    }
    if let Ok(value) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The edge's identifier if it is one, so that its log and ours can be joined; a new one otherwise.
fn request_id(request: &Request) -> String {
    let acceptable = |text: &&str| {
        (1..=REQUEST_ID_LENGTH).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(acceptable)
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Callers can invent methods; labels cannot.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
