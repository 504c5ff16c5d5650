//! Against a small tracker behind TLS on the loopback, which reads envelopes as Sentry does.

use std::io;
use std::net::IpAddr;
use std::time::{Duration as Wait, Instant};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, body};
use futures_util::future::BoxFuture;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::auth::actor::{Actor, Agent};
use crate::auth::delegation::Grant;
use crate::auth::scope::Scopes;
use crate::border::{self, Border};
use crate::clock::{SystemClock, SystemRandomness};
use crate::database::DatabaseError;
use crate::http_client::Limits;
use crate::problem::Problem;
use crate::request::{Contexts, Edges};
use crate::server;
use crate::webhook::resolve::Resolve;

struct Loopback;

impl Resolve for Loopback {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

/// What the tracker does with a report.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Takes,
    Hangs,
    HasEnough,
}

/// A tracker that keeps what it is sent.
struct Ingest {
    port: u16,
    authority: CertificateDer<'static>,
    reports: UnboundedReceiver<Received>,
}

/// One envelope.
#[derive(Debug)]
struct Received {
    path: String,
    authentication: String,
    header: Value,
    items: Vec<(Value, Value)>,
    text: String,
}

impl Received {
    /// An envelope is lines: its header, and for each item a header with the length of what follows.
    fn read(path: String, authentication: String, bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (header, mut rest) = text.split_once('\n').unwrap();
        let mut items = Vec::new();
        while !rest.is_empty() {
            let (item, payload) = rest.split_once('\n').unwrap();
            let item: Value = serde_json::from_str(item).unwrap();
            let length = usize::try_from(item["length"].as_u64().unwrap()).unwrap();
            items.push((item, serde_json::from_str(&payload[..length]).unwrap()));
            rest = payload[length..].strip_prefix('\n').unwrap_or_default();
        }
        Self {
            path,
            authentication,
            header: serde_json::from_str(header).unwrap(),
            items,
            text: text.clone(),
        }
    }

    fn event(&self) -> &Value {
        assert_eq!(self.items.len(), 1, "{}", self.text);
        assert_eq!(self.items[0].0["type"], "event");
        &self.items[0].1
    }
}

async fn ingest(manner: Manner) -> Ingest {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["tracker.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, reports) = unbounded_channel();
    let router = Router::new().fallback(async move |request: Request| -> Response {
        let path = request.uri().path().to_owned();
        let authentication = request.headers()["x-sentry-auth"].to_str().unwrap().to_owned();
        let bytes = body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
        sender.send(Received::read(path, authentication, &bytes)).unwrap();
        match manner {
            Manner::Takes => "{}".into_response(),
            Manner::Hangs => std::future::pending().await,
            Manner::HasEnough => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3000")]).into_response(),
        }
    });
    tokio::spawn(server::serve(listener, Some(tls.unwrap()), router, std::future::pending()));
    Ingest { port, authority: cert.der().clone(), reports }
}

/// A log of this thread that reports to the tracker at this port.
struct Stage {
    _log: DefaultGuard,
    metrics: Arc<Metrics>,
    stop: oneshot::Sender<()>,
    delivering: JoinHandle<()>,
}

impl Stage {
    fn new(port: u16, authority: &CertificateDer<'static>, queued: bool) -> Self {
        let limits = Limits { total: Wait::from_secs(20), ..Limits::default() };
        let authorities = std::slice::from_ref(authority);
        let client = HttpClient::new(Arc::new(Loopback), authorities, limits).unwrap();
        let dsn = format!("https://publickey@tracker.example:{port}/base/42").parse().unwrap();
        let (release, environment) = ("2026.11".to_owned(), "app.example.test".to_owned());
        let tracker = Tracker { dsn, release, environment, client };
        let metrics = Arc::new(Metrics::new("app", "1", "r"));
        let scrubber = Scrubber::new(&["bst_"]);
        let (reports, delivery) =
            ErrorReports::new(tracker, scrubber, Arc::new(SystemClock), Arc::new(SystemRandomness), &metrics);
        // As in the border's test: others come to the same lines without a log.
        let _others_may_have = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(reports));
        let (stop, stopped) = oneshot::channel();
        let delivering = tokio::spawn(async move {
            // A test that wants the queue to stay as it is begins with the end.
            let stopped = async { stopped.await.unwrap_or_default() };
            if queued { stopped.await } else { delivery.run(stopped).await }
        });
        Self { _log, metrics, stop, delivering }
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.delivering.await.unwrap();
    }

    fn dropped(&self) -> u64 {
        let text = self.metrics.text();
        let line = text.lines().find(|line| line.starts_with("app_error_reports_dropped_total ")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// An application with its border, of which `/fails` answers 503 and says why in the log.
    fn api(&self) -> Router {
        let fails = async || {
            let id = uuid::Uuid::from_u128(5);
            let (organization, token_id) = (uuid::Uuid::from_u128(6), uuid::Uuid::from_u128(7));
            let grant = Grant::of_scopes(Scopes::default()).into();
            Line::say(|line| line.actor(&Actor::Agent(Agent { id, organization, token_id, grant })));
            tracing::error!(
                cookie = "__Host-session=s3cr3t",
                error = "Bearer bst_s3cr3t was refused at https://x.example/cb?code=s3cr3t&state=1 \
                         and \"/api/v1/tasks?token=s3cr3t\"",
                attempt = 3,
                "asking with password=s3cr3t failed"
            );
            Problem::from(DatabaseError::Late)
        };
        let contexts = Contexts {
            clock: Arc::new(SystemClock),
            randomness: Arc::new(SystemRandomness),
            edges: Edges::default(),
            secrets: Scrubber::default(),
        };
        let border =
            Border { contexts, metrics: Arc::clone(&self.metrics), limits: border::Limits::default() };
        border::around(Router::new().route("/fails/{id}", get(fails)), border)
    }
}

fn request(id: &str) -> Request {
    let request = Request::get("/fails/7?secret=s3cr3t").header("x-request-id", id);
    request.header("authorization", "Bearer bst_s3cr3t").body(body::Body::empty()).unwrap()
}

#[tokio::test]
async fn an_error_arrives_once_with_its_request_and_without_secrets() {
    let mut ingest = ingest(Manner::Takes).await;
    let stage = Stage::new(ingest.port, &ingest.authority, false);
    let answer = stage.api().oneshot(request("edge-1")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let traceparent = answer.headers()["traceparent"].to_str().unwrap().to_owned();

    let received = ingest.reports.recv().await.unwrap();
    assert_eq!(received.path, "/base/api/42/envelope/");
    assert!(received.authentication.starts_with("Sentry sentry_key=publickey,"), "{received:?}");
    let event = received.event();
    let id = |value: &Value| value.as_str().unwrap().replace('-', "");
    assert_eq!(id(&received.header["event_id"]), id(&event["event_id"]));
    // The level of a report that names none is error.
    assert_eq!((&event["level"], &event["release"]), (&Value::Null, &"2026.11".into()), "{event:#}");
    assert_eq!(event["environment"], "app.example.test");
    assert_eq!(event["transaction"], "/fails/{id}");
    let tags = &event["tags"];
    assert_eq!((&tags["request_id"], &tags["route"]), (&"edge-1".into(), &"/fails/{id}".into()));
    assert_eq!(tags["token_id"], uuid::Uuid::from_u128(7).to_string());
    assert_eq!(tags["trace_id"], traceparent.split('-').nth(1).unwrap());
    assert_eq!(event["contexts"]["trace"]["trace_id"], tags["trace_id"]);
    assert_eq!(event["message"], "asking with password=[redacted] failed");
    assert_eq!((&event["extra"]["attempt"], &event["extra"]["cookie"]), (&3.into(), &"[redacted]".into()));
    let error = event["extra"]["error"].as_str().unwrap();
    assert!(error.contains("https://x.example/cb ") && error.ends_with("\"/api/v1/tasks\""), "{error}");
    assert!(!received.text.contains("s3cr3t"), "{}", received.text);

    // The problem of the database is an error too; then nothing more comes.
    assert_eq!(ingest.reports.recv().await.unwrap().event()["extra"]["store"], "database");
    assert_eq!(stage.dropped(), 0);
    stage.end().await;
    assert!(ingest.reports.try_recv().is_err());
}

#[tokio::test]
async fn a_panic_is_reported_as_one() {
    let mut ingest = ingest(Manner::Takes).await;
    let stage = Stage::new(ingest.port, &ingest.authority, false);
    tracing::error!(place = "src/a.rs:1:2", panic = "bst_s3cr3t is not a number", "a thread panicked");
    let received = ingest.reports.recv().await.unwrap();
    let exception = &received.event()["exception"]["values"][0];
    assert_eq!(
        (&exception["type"], &exception["value"]),
        (&"panic".into(), &"[redacted] is not a number".into())
    );
    assert_eq!(received.event()["extra"]["place"], "src/a.rs:1:2");
    stage.end().await;
}

#[tokio::test]
async fn what_waits_at_the_end_is_sent() {
    let mut ingest = ingest(Manner::Takes).await;
    let stage = Stage::new(ingest.port, &ingest.authority, false);
    for number in 0..20 {
        tracing::error!(number, "failed");
    }
    stage.end().await;
    let numbers =
        (0..20).map(|_| ingest.reports.try_recv().unwrap().event()["extra"]["number"].as_u64().unwrap());
    assert_eq!(numbers.collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_tracker_that_hangs_or_is_down_changes_nothing_for_requests() {
    let hanging = ingest(Manner::Hangs).await;
    let [nobody] = crate::testing::servers::free_ports();
    for port in [hanging.port, nobody] {
        let stage = Stage::new(port, &hanging.authority, false);
        let api = stage.api();
        let started = Instant::now();
        for number in 0..200 {
            let answer = api.clone().oneshot(request(&format!("r-{number}"))).await.unwrap();
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
        assert!(started.elapsed() < Wait::from_secs(2), "{:?}", started.elapsed());
        // Two errors a request, of which no more are reported than the bound allows.
        assert!(stage.dropped() >= 300, "{}", stage.dropped());
        let started = Instant::now();
        stage.end().await;
        assert!(
            started.elapsed() < Wait::from_secs(3),
            "the end waited for the tracker: {:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn a_queue_that_is_full_and_a_minute_that_is_are_counted() {
    let unused = ingest(Manner::Takes).await;
    let stage = Stage::new(unused.port, &unused.authority, true);
    for _ in 0..MOST_A_MINUTE + 7 {
        tracing::error!("failed");
    }
    assert_eq!(stage.dropped(), 7);
    stage.end().await;
}

#[tokio::test]
async fn a_tracker_that_has_enough_is_left_alone() {
    let mut ingest = ingest(Manner::HasEnough).await;
    let stage = Stage::new(ingest.port, &ingest.authority, false);
    for _ in 0..10 {
        tracing::error!("failed");
    }
    assert!(ingest.reports.recv().await.is_some());
    stage.end().await;
    assert!(ingest.reports.try_recv().is_err(), "it was asked again");
}

#[test]
fn queries_are_cut_off() {
    for (text, clean) in [
        ("why? because", "why? because"),
        ("GET /a/b?c=d failed", "GET /a/b failed"),
        ("(https://a.example/?x=1)", "(https://a.example/)"),
        ("\"/a?b\" and /c?d\te", "\"/a\" and /c\te"),
        ("", ""),
    ] {
        assert_eq!(without_queries(text), clean);
    }
}
