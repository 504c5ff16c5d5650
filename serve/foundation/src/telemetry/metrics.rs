//! Metrics for Prometheus, on a router of their own.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use time::OffsetDateTime;

use super::Seen;
use crate::problem;
use crate::request::RequestContext;

/// Seconds. From a cached read to the limit at which a store is given up.
const DURATION_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
/// Exemplars have 128 characters for all names and values.
const EXEMPLAR_ID_LENGTH: usize = 100;

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
struct ProblemLabels {
    code: &'static str,
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Exemplar {
    request_id: String,
}

type Durations =
    Family<RouteLabels, HistogramWithExemplars<Exemplar>, fn() -> HistogramWithExemplars<Exemplar>>;

/// The metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: RwLock<Registry>,
    requests: Family<RequestLabels, Counter>,
    problems: Family<ProblemLabels, Counter>,
    durations: Durations,
    in_flight: Gauge,
}

/// Counts a request as in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Metrics whose names begin with `prefix`; `version` and `release` are what the build information says.
    #[must_use]
    pub fn new(prefix: &str, version: &str, release: &str) -> Self {
        let mut registry = Registry::with_prefix(prefix);
        let (requests, problems, in_flight) = (Family::default(), Family::default(), Gauge::default());
        let durations: Durations = Family::new_with_constructor(histogram);
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register("http_problems", "Problems answered, by their code", problems.clone());
        registry.register("http_requests_in_flight", "Requests not answered yet", in_flight.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from the request's headers to the response's headers",
            Unit::Seconds,
            durations.clone(),
        );
        let build = vec![("version", version.to_owned()), ("release", release.to_owned())];
        registry.register("build", "What is deployed", Info::new(build));
        Self { registry: RwLock::new(registry), requests, problems, durations, in_flight }
    }

    /// Registers metrics of another module.
    pub fn register(&self, with: impl FnOnce(&mut Registry)) {
        with(&mut self.registry.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// A gauge that is read when Prometheus asks, such as the size of a pool or queue.
    pub fn gauge(&self, name: &str, help: &str, read: impl Fn() -> f64 + Send + Sync + 'static) {
        let reading = Reading { name: name.to_owned(), help: help.to_owned(), read: Box::new(read) };
        self.register(|registry| registry.register_collector(Box::new(reading)));
    }

    /// Everything in the text format of OpenMetrics.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry.read().unwrap_or_else(PoisonError::into_inner))
            .expect("writing to a string does not fail");
        text
    }

    pub(crate) fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(crate) fn record(&self, seen: &Seen<'_>, context: &RequestContext, now: OffsetDateTime) {
        let (method, route) = (seen.method(), seen.route().to_owned());
        let exemplar = (context.request_id.len() <= EXEMPLAR_ID_LENGTH)
            .then(|| Exemplar { request_id: (*context.request_id).to_owned() });
        let labels = RouteLabels { method, route: route.clone() };
        let elapsed = seen.elapsed.as_secs_f64();
        self.durations.get_or_create(&labels).observe(elapsed, exemplar, Some(now.into()));
        if let Some(problem) = seen.problem {
            let labels = ProblemLabels { code: problem.code, route: route.clone() };
            self.problems.get_or_create(&labels).inc();
        }
        let labels = RequestLabels { method, route, status: seen.status.as_u16() };
        self.requests.get_or_create(&labels).inc();
    }
}

fn histogram() -> HistogramWithExemplars<Exemplar> {
    HistogramWithExemplars::new(DURATION_BUCKETS.into_iter())
}

struct Reading {
    name: String,
    help: String,
    read: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reading").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let metric = encoder.encode_descriptor(&self.name, &self.help, None, MetricType::Gauge)?;
        ConstGauge::new((self.read)()).encode(metric)
    }
}

/// `/metrics`, for a port that only Prometheus reaches.
pub fn router(metrics: Arc<Metrics>) -> Router {
    Router::new().route("/metrics", get(show)).fallback(problem::not_found).with_state(metrics)
}

async fn show(State(metrics): State<Arc<Metrics>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], metrics.text()).into_response()
}
