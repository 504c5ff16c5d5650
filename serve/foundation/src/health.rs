//! `/livez` and `/readyz`: whether the process is alive, and whether it can serve.

use std::fmt::{self, Display};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::join_all;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::problem::{Problem, codes};
use crate::telemetry::Metrics;

/// Answers are as old as this at most: however many ask, the checks run once in that time.
const FRESH: Duration = Duration::from_secs(1);

type Outcome = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

struct Check {
    name: &'static str,
    limit: Duration,
    run: Box<dyn Fn() -> Outcome + Send + Sync>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CheckLabels {
    check: &'static str,
}

/// What must answer for the process to serve.
#[derive(Default)]
pub struct Health {
    checks: Vec<Check>,
    up: Family<CheckLabels, Gauge>,
    last: Mutex<Option<(Instant, Vec<&'static str>)>>,
}

impl fmt::Debug for Health {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.checks.iter().map(|check| check.name)).finish()
    }
}

impl Health {
    /// Nothing to check yet; `metrics` gets the gauge `ready_check_up` for each check.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let health = Self::default();
        let help = "Whether the check succeeded when readiness was last asked for";
        metrics.register(|registry| registry.register("ready_check_up", help, health.up.clone()));
        health
    }

    /// Adds a check that has to succeed within `limit`. Why it did not goes to the log, not to the caller.
    #[must_use]
    pub fn check<F, E>(
        mut self,
        name: &'static str,
        limit: Duration,
        run: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let run = Box::new(move || -> Outcome {
            let work = run();
            Box::pin(async move { work.await.map_err(|error| error.to_string()) })
        });
        self.checks.push(Check { name, limit, run });
        self
    }

    /// The names of the checks that fail, from an answer at most a second old. One asks, all others wait for it.
    pub async fn missing(&self) -> Vec<&'static str> {
        let mut last = self.last.lock().await;
        if let Some((asked, missing)) = last.as_ref()
            && asked.elapsed() < FRESH
        {
            return missing.clone();
        }
        let outcomes = join_all(self.checks.iter().map(run)).await;
        let missing: Vec<_> =
            self.checks.iter().zip(outcomes).filter(|(_, up)| !up).map(|(check, _)| check.name).collect();
        for check in &self.checks {
            let labels = CheckLabels { check: check.name };
            self.up.get_or_create(&labels).set(i64::from(!missing.contains(&check.name)));
        }
        *last = Some((Instant::now(), missing.clone()));
        missing
    }
}

async fn run(check: &Check) -> bool {
    let reason = match tokio::time::timeout(check.limit, (check.run)()).await {
        Ok(Ok(())) => return true,
        Ok(Err(reason)) => reason,
        Err(_) => format!("no answer within {} s", check.limit.as_secs_f64()),
    };
    tracing::warn!(check = check.name, reason, "not ready");
    false
}

/// The two paths.
pub fn router(health: Arc<Health>) -> Router {
    Router::new()
        .route("/livez", get(|| async { axum::Json(json!({"status": "alive"})) }))
        .route("/readyz", get(readyz))
        .with_state(health)
}

async fn readyz(State(health): State<Arc<Health>>) -> Response {
    let missing = health.missing().await;
    if missing.is_empty() {
        return axum::Json(json!({"status": "ready"})).into_response();
    }
    Problem::new(&codes::NOT_READY)
        .detail(format!("These do not answer: {}.", missing.join(", ")))
        .with("missing", missing)
        .header(RETRY_AFTER, HeaderValue::from_static("2"))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tower::ServiceExt as _;

    const LIMIT: Duration = Duration::from_millis(100);

    async fn ask(health: &Arc<Health>) -> (u16, String) {
        let request = Request::get("/readyz").body(Body::empty()).expect("a request");
        let response = router(Arc::clone(health)).oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 65_536).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_answer_is_named_and_why_is_not() {
        let metrics = Metrics::new("app", "1", "r");
        let health = Health::new(&metrics)
            .check("database", LIMIT, || async { Err("password s3cr3t refused") })
            .check("queue", LIMIT, || async { std::future::pending::<Result<(), &str>>().await })
            .check("cache", LIMIT, || async { Ok::<(), &str>(()) });
        let (status, body) = ask(&Arc::new(health)).await;
        assert_eq!(status, 503);
        assert!(body.contains(r#""missing":["database","queue"]"#) && !body.contains("s3cr3t"), "{body}");
        let text = metrics.text();
        assert!(text.contains("app_ready_check_up{check=\"database\"} 0"), "{text}");
        assert!(text.contains("app_ready_check_up{check=\"cache\"} 1"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn probes_are_no_load() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let health = Health::default().check("database", LIMIT, move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok::<(), &str>(()) }
        });
        let health = Arc::new(health);
        for _ in 0..100 {
            assert_eq!(ask(&health).await.0, 200);
        }
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        tokio::time::advance(FRESH).await;
        ask(&health).await;
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }
}
