//! Everything that can be wrong with a request, thrown at a router: always a problem document, never a 500.

use std::io::Write;
use std::sync::Mutex;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::*;
use crate::auth::actor::{Actor, Agent};
use crate::auth::delegation::Grant;
use crate::auth::scope::Scopes;
use crate::clock::testing::{CountingRandomness, FixedClock};
use crate::extract::{Form, Json, Path, Query};
use crate::request::{Edges, RequestContext};
use crate::telemetry::{JsonLines, Scrubber};

#[derive(Deserialize)]
#[allow(dead_code, reason = "only read by serde")]
struct Task {
    title: String,
    #[serde(default)]
    done: bool,
    labels: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "only read by serde")]
struct Filter {
    limit: Option<u16>,
    after: Option<String>,
}

fn id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

fn agent() -> Actor {
    let (id, organization, token_id) = (Uuid::from_u128(5), Uuid::from_u128(6), Uuid::from_u128(7));
    Actor::Agent(Agent { id, organization, token_id, grant: Grant::of_scopes(Scopes::default()).into() })
}

async fn panics() -> &'static str {
    panic!("password=s3cr3t")
}

fn api(metrics: Arc<Metrics>) -> Router {
    let limits = Limits {
        body: BodyLimits { bytes: 4096, time: Duration::from_millis(50), depth: 16 },
        time: Duration::from_secs(5),
        ..Limits::default()
    };
    let contexts = Contexts {
        clock: Arc::new(FixedClock::at(OffsetDateTime::UNIX_EPOCH)),
        randomness: Arc::new(CountingRandomness::default()),
        edges: Edges::default(),
        secrets: Scrubber::default(),
    };
    let router = Router::new()
        .route(
            "/tasks",
            post(|Json(_): Json<Task>| async { "created" }).get(|_: Query<Filter>| async { "list" }),
        )
        .route("/tasks/{id}", get(|Path(id): Path<Uuid>| async move { id.to_string() }))
        .route("/names/{name}", get(|Path(name): Path<String>| async move { name }))
        .route("/form", post(|_: Form<Filter>| async { "sent" }))
        .route("/plain", post(|_: axum::Json<Task>| async { "created" }))
        .route("/panic", get(panics))
        .route("/slow", get(|| async { std::future::pending::<()>().await }))
        .route(
            "/who",
            get(|context: RequestContext| async move {
                Line::say(|line| {
                    line.actor(&agent());
                    line.action("who.read");
                });
                context.request_id.to_string()
            }),
        );
    around(router, Border { contexts, metrics, limits })
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new("app", "1", "r"))
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn document(&self) -> Value {
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json", "{}", self.body);
        let document: Value = serde_json::from_str(&self.body).expect("a problem is JSON");
        assert_eq!(document["status"], self.status);
        assert_eq!(document["request_id"].as_str(), self.headers["x-request-id"].to_str().ok());
        assert_eq!(document["type"], format!("/problems/{}", document["code"].as_str().expect("a code")));
        document
    }
}

async fn send(router: Router, request: axum::http::Request<Body>) -> Answer {
    let response = router.oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).expect("text"),
    }
}

fn request(method: &str, uri: &str, kind: &str, body: impl Into<Body>) -> axum::http::Request<Body> {
    let builder = axum::http::Request::builder().method(method).uri(uri);
    let builder = if kind.is_empty() { builder } else { builder.header(CONTENT_TYPE, kind) };
    builder.body(body.into()).expect("a request")
}

/// Method, path, content type and body; status and code.
type Case<'a> = (&'a str, &'a str, &'a str, Vec<u8>, u16, &'a str);

#[tokio::test]
async fn every_wrong_request_is_a_problem() {
    let json = "application/json";
    let long = format!("/tasks?after={}", "x".repeat(9000));
    let cases: Vec<Case<'_>> = vec![
        ("GET", "/nowhere", "", vec![], 404, "not-found"),
        ("DELETE", "/tasks", "", vec![], 405, "method-not-allowed"),
        ("INVENTED", "/tasks", "", vec![], 405, "method-not-allowed"),
        ("GET", "/tasks/7", "", vec![], 404, "not-found"),
        ("GET", "/names/a%00b", "", vec![], 404, "not-found"),
        ("GET", "/names/%ff", "", vec![], 404, "not-found"),
        ("GET", "/tasks?limit=x", "", vec![], 400, "query-invalid"),
        ("GET", "/tasks?unknown=1", "", vec![], 400, "query-invalid"),
        ("GET", &long, "", vec![], 414, "uri-too-long"),
        ("POST", "/tasks", "", b"{}".to_vec(), 415, "content-type-unsupported"),
        ("POST", "/tasks", "text/plain", b"{}".to_vec(), 415, "content-type-unsupported"),
        ("POST", "/tasks", json, vec![], 400, "body-malformed"),
        ("POST", "/tasks", json, b"{\"title\":\"\xff\"}".to_vec(), 400, "body-malformed"),
        ("POST", "/tasks", json, b"[".repeat(4000), 400, "body-too-deep"),
        ("POST", "/tasks", json, b" ".repeat(5000), 413, "body-too-large"),
        ("POST", "/tasks", json, b"{\"title\":1}".to_vec(), 422, "validation-failed"),
        ("POST", "/tasks", json, b"{\"title\":\"a\",\"x\":1}".to_vec(), 422, "validation-failed"),
        ("POST", "/tasks", json, b"{\"title\":\"\\u0000\"}".to_vec(), 422, "validation-failed"),
        ("POST", "/form", json, b"limit=1".to_vec(), 415, "content-type-unsupported"),
        ("POST", "/form", "application/x-www-form-urlencoded", b"limit=x".to_vec(), 422, "validation-failed"),
        ("POST", "/plain", json, b"{".to_vec(), 400, "request-refused"),
        ("GET", "/panic", "", vec![], 500, "internal"),
    ];
    let api = api(metrics());
    for (method, uri, kind, body, status, code) in cases {
        let answer = send(api.clone(), request(method, uri, kind, body)).await;
        let document = answer.document();
        assert_eq!((answer.status, document["code"].as_str()), (status, Some(code)), "{method} {uri}");
        assert!(!answer.body.contains("s3cr3t"), "{}", answer.body);
        assert_eq!(status == 405, answer.headers.contains_key(ALLOW), "{method} {uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_given_up() {
    let answer = send(api(metrics()), request("GET", "/slow", "", Body::empty())).await;
    assert_eq!(answer.document()["code"], "timed-out");
    assert!(answer.headers.contains_key(RETRY_AFTER));

    let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let slow = request("POST", "/tasks", "application/json", Body::from_stream(never));
    assert_eq!(send(api(metrics()), slow).await.document()["code"], "body-too-slow");

    let endless =
        futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 512])));
    let huge = request("POST", "/tasks", "application/json", Body::from_stream(endless));
    assert_eq!(send(api(metrics()), huge).await.document()["code"], "body-too-large");
}

#[tokio::test]
async fn headers_are_bounded_and_compressed_bodies_refused() {
    let mut many = request("GET", "/tasks", "", Body::empty());
    for _ in 0..200 {
        many.headers_mut().append("x-flood", HeaderValue::from_static("1"));
    }
    assert_eq!(send(api(metrics()), many).await.document()["code"], "headers-too-large");
    let mut packed = request("POST", "/tasks", "application/json", "{\"title\":\"a\"}");
    packed.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
    assert_eq!(send(api(metrics()), packed).await.document()["code"], "content-encoding-unsupported");
}

#[tokio::test]
async fn metrics_have_templates_and_exemplars_and_nothing_invented() {
    let metrics = metrics();
    metrics.gauge("pool_size", "Connections", || 7.0);
    let api = api(Arc::clone(&metrics));
    for (method, uri) in
        [("GET", "/tasks/s3cr3t"), ("BREW", "/s3cr3t"), ("GET", "/names/s3cr3t"), ("BREW", "/who")]
    {
        send(api.clone(), request(method, uri, "", Body::empty())).await;
    }
    let text = metrics.text();
    assert!(!text.contains("s3cr3t") && !text.contains("BREW"), "{text}");
    for line in [
        "app_http_requests_total{method=\"GET\",route=\"/names/{name}\",status=\"200\"} 1",
        "app_http_requests_total{method=\"other\",route=\"unmatched\",status=\"404\"} 1",
        "app_http_problems_total{code=\"not-found\",route=\"/tasks/{id}\"} 1",
        "app_http_requests_in_flight 0",
        "# {request_id=\"",
        "app_pool_size 7",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_request_has_its_log_line_without_secrets() {
    let written = Written::default();
    let clock = Arc::new(FixedClock::at(OffsetDateTime::UNIX_EPOCH));
    let log = JsonLines::new(clock, Scrubber::new(&["bst_"]), written.clone());
    // Everybody who listens has to be asked: a line that a test without a log comes to first would be taken for one that
    // nobody wants.
    let _others_may_have = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(log.subscriber());
    for uri in ["/who", "/panic"] {
        let mut request = request("GET", uri, "", Body::empty());
        request.headers_mut().insert("x-request-id", HeaderValue::from_static("r-1"));
        send(api(metrics()), request).await;
    }
    tracing::warn!(authorization = "Bearer s3cr3t", "token bst_s3cr3t");
    drop(guard);
    let text = String::from_utf8(written.0.lock().expect("not poisoned").clone()).expect("text");
    assert!(!text.contains("s3cr3t"), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let first = &lines[0];
    assert_eq!(first["timestamp"], "1970-01-01T00:00:00Z");
    assert_eq!((&first["level"], &first["request_id"]), (&"info".into(), &"r-1".into()));
    assert_eq!(
        (&first["user_id"], &first["organization_id"], &first["token_id"]),
        (&id(5).into(), &id(6).into(), &id(7).into())
    );
    assert_eq!((&first["action"], &first["result"]), (&"who.read".into(), &"ok".into()));
    assert_eq!(
        (&first["method"], &first["route"], &first["status"]),
        (&"GET".into(), &"/who".into(), &200.into())
    );
    assert_eq!(first["trace_id"].as_str().map(str::len), Some(32));
    assert!(first["duration_ms"].is_number());
    assert!(lines.iter().any(|line| line["message"] == "a handler panicked" && line["request_id"] == "r-1"));
    assert_eq!(lines.len(), 4, "one line a request, one for the panic, one of our own\n{text}");
}

/// Requests from pieces that break parsers, in an order that is the same in each run.
#[tokio::test]
async fn no_garbage_makes_the_server_fail() {
    const PIECES: [&[u8]; 22] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b":",
        b",",
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b"\xff",
        b"\0",
        b"1e999",
        b"-",
        b"null",
        b"true",
        b"\"title\"",
        b"\"labels\"",
        b"\"done\"",
        b"%00",
        b"&limit=",
        b"\xef\xbb\xbf",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap_or(0)
    };
    let kinds = ["application/json", "application/x-www-form-urlencoded", "text/plain", ""];
    let paths = ["/tasks", "/form", "/plain", "/names/%ff", "/tasks?limit=%", "/tasks?%00=&&=&a", "/who"];
    let api = api(metrics());
    for round in 0..3000 {
        let body: Vec<u8> = (0..next(24)).flat_map(|_| PIECES[next(PIECES.len())]).copied().collect();
        let method = ["GET", "POST", "PUT", "HEAD", "X"][next(5)];
        let shown = String::from_utf8_lossy(&body).into_owned();
        let (path, kind) = (paths[next(paths.len())], kinds[next(kinds.len())]);
        let answer = send(api.clone(), request(method, path, kind, body)).await;
        assert!(answer.status < 500, "round {round}: {method} {path} {kind} {shown}");
        if answer.status >= 400 && method != "HEAD" {
            answer.document();
        }
    }
}
