//! The application at the platform's URL, behind CDN and Caddy, as an agent on the internet meets it.

pub mod caller;
mod issuer;
mod mail;
pub mod outside;
mod seed;
mod world;

use crate::Test;
use crate::building::built;
use crate::stage::{PLATFORM, eventually};
use caller::{Answer, Caller};
use seed::{ALL_SCOPES, Tenant, sql, uuid};
use serde_json::{Value, json};
use std::sync::LazyLock;

pub const TESTS: &[Test] = &[
    ("the_api_is_described_and_its_problems_are_explained", described),
    ("a_project_and_its_tasks_are_made_read_changed_and_deleted", resources_live),
    ("a_write_that_is_sent_again_happens_once_and_is_answered_in_the_same_bytes", replayed),
    ("of_64_requests_at_once_with_one_key_one_happens", replayed_at_once),
    ("nobody_gets_further_than_token_scope_and_organization_allow", confined),
    ("a_request_is_found_by_its_id_in_log_and_audit_with_the_clients_address", traced),
    ("the_serving_role_sees_one_organization_and_changes_no_audit_event", role_is_bound),
    ("metrics_count_what_was_asked_by_route", metrics_count),
    ("a_store_that_is_down_takes_down_what_needs_it_and_comes_back", stores_go_down),
];

/// An organization with whom most tests work, and its agent that may do everything.
static TENANT: LazyLock<(Tenant, Caller)> = LazyLock::new(|| {
    built();
    let tenant = Tenant::new("first");
    let agent = tenant.agent(ALL_SCOPES);
    (tenant, agent)
});

fn agent() -> &'static Caller {
    &TENANT.1
}

#[track_caller]
fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    let document = answer.expect(status).json();
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:?}");
    assert_eq!((&document["status"], &document["code"]), (&json!(status), &json!(code)), "{answer:?}");
    assert_eq!(document["request_id"], answer.header("x-request-id"), "{answer:?}");
    document
}

fn described() {
    built();
    let nobody = Caller::nobody();
    let document = nobody.get("/openapi.json").expect(200).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    assert!(document["paths"]["/api/v1/tasks/{id}"]["patch"].is_object(), "{document}");
    let page = nobody.get("/docs");
    assert!(page.expect(200).body.contains("/api/v1/tasks/{id}"), "{}", page.body);
    let missing = problem(&nobody.get("/api/v1/nowhere"), 404, "not-found");
    let explained = missing["type"].as_str().unwrap();
    let path = explained.strip_prefix(&caller::url("")).unwrap_or(explained);
    let page = nobody.get(path);
    assert!(page.expect(200).body.contains("not-found"), "{explained} explains nothing: {}", page.body);
    for header in ["strict-transport-security", "x-content-type-options"] {
        assert!(!page.header(header).is_empty(), "no {header}: {page:?}");
    }
}

fn resources_live() {
    let made = agent().post("/api/v1/projects", &json!({"name": "Garden"}));
    let project = made.expect(201).header("location").to_owned();
    let project_id = made.json()["id"].clone();
    let task = json!({"project_id": project_id, "title": "Water", "due_on": "2026-12-24"});
    let made = agent().post("/api/v1/tasks", &task);
    let task = made.expect(201).header("location").to_owned();
    let read = agent().get(&task);
    assert_eq!(read.expect(200).json(), made.json());
    let tag = read.header("etag").to_owned();
    agent().send("GET", &task, &[("if-none-match", &tag)], None).expect(304);
    for header in ["ratelimit", "ratelimit-policy"] {
        assert!(!read.header(header).is_empty(), "no {header}: {read:?}");
    }

    let listed = agent().get(&format!("/api/v1/tasks?project_id={}", project_id.as_str().unwrap()));
    assert_eq!(listed.expect(200).json()["items"][0]["id"], made.json()["id"]);
    let done = json!({"state": "done"});
    problem(&agent().send("PATCH", &task, &[], Some(&done)), 428, "precondition-required");
    let changed = agent().send("PATCH", &task, &[("if-match", &tag)], Some(&done));
    assert_eq!(changed.expect(200).json()["state"], "done");
    problem(&agent().send("PATCH", &task, &[("if-match", &tag)], Some(&done)), 412, "precondition-failed");
    agent().send("DELETE", &task, &[("if-match", changed.header("etag"))], None).expect(204);
    problem(&agent().get(&task), 404, "not-found");
    agent().send("DELETE", &project, &[("if-match", "*")], None).expect(204);
}

fn replayed() {
    let key = format!("\"{}\"", uuid());
    let body = json!({"name": "Once"});
    let send = || agent().send("POST", "/api/v1/projects", &[("idempotency-key", &key)], Some(&body));
    let (first, again) = (send(), send());
    first.expect(201);
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    let other = Some(json!({"name": "Twice"}));
    let refused = agent().send("POST", "/api/v1/projects", &[("idempotency-key", &key)], other.as_ref());
    problem(&refused, 422, "idempotency-key-reused");
    let id = first.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(sql(&format!("SELECT count(*) FROM projects WHERE name = 'Once' AND id = '{id}'")), "1");
    assert_eq!(sql("SELECT count(*) FROM projects WHERE name IN ('Once', 'Twice')"), "1");
}

fn replayed_at_once() {
    let key = format!("\"{}\"", uuid());
    let body = json!({"name": "Contested"});
    let send = || agent().send("POST", "/api/v1/projects", &[("idempotency-key", &key)], Some(&body));
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let sent: Vec<_> = (0..64).map(|_| scope.spawn(send)).collect();
        sent.into_iter().map(|sent| sent.join().unwrap()).collect()
    });
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert!(!made.is_empty() && made.iter().all(|answer| answer.body == made[0].body), "{made:?}");
    for waiting in answers.iter().filter(|answer| answer.status != 201) {
        problem(waiting, 409, "idempotency-key-in-use");
    }
    assert_eq!(sql("SELECT count(*) FROM projects WHERE name = 'Contested'"), "1");
}

fn confined() {
    let made = agent().post("/api/v1/projects", &json!({"name": "Ours"}));
    let path = made.expect(201).header("location").to_owned();
    problem(&Caller::nobody().get(&path), 401, "unauthenticated");
    problem(&Caller::with_token(&seed::token_text()).get(&path), 401, "bad-credentials");
    let reader = TENANT.0.agent(&["projects:read"]);
    reader.get(&path).expect(200);
    let refused =
        problem(&reader.post("/api/v1/projects", &json!({"name": "Mine"})), 403, "insufficient-scope");
    assert_eq!(refused["scope"], "projects:write");
    let stranger = Tenant::new("second").agent(ALL_SCOPES);
    problem(&stranger.get(&path), 404, "not-found");
    problem(&stranger.send("DELETE", &path, &[("if-match", "*")], None), 404, "not-found");
    assert_eq!(stranger.get("/api/v1/projects").expect(200).json()["items"], json!([]));
}

fn traced() {
    let id = format!("lab-{}", uuid());
    let forged =
        [("x-request-id", &*id), ("x-forwarded-for", "192.0.2.66"), ("cf-connecting-ip", "192.0.2.66")];
    let body = json!({"name": "Traced"});
    let made = agent().send("POST", "/api/v1/projects", &forged, Some(&body));
    assert_eq!(made.expect(201).header("x-request-id"), id);
    let row = sql(&format!("SELECT address || ' ' || action FROM audit_events WHERE request_id = '{id}'"));
    assert_eq!(row, format!("{} project.create", caller::address()));
    let line: Value = eventually("the request is in the application's log", 10, || {
        let found = PLATFORM.try_on("app", &format!("journalctl -o cat -u 'app@*' | grep -m 1 {id}"));
        serde_json::from_str(&found.stdout).ok()
    });
    assert_eq!((&line["route"], &line["status"]), (&json!("/api/v1/projects"), &json!(201)), "{line}");

    // What no log should hold is replaced at the edge, and the application and the answer have what the edge made.
    let answer = agent().send("GET", "/api/v1/projects", &[("x-request-id", "a b\"; c")], None);
    let made = answer.expect(200).header("x-request-id").to_owned();
    assert!(made.len() == 36 && made.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'), "{made}");
    PLATFORM.on("edge", &format!("grep -q {made} /var/log/caddy/access.log"));
}

fn role_is_bound() {
    let _ = agent();
    let as_app = |statement: &str| seed::try_sql(&format!("SET ROLE app; {statement}"));
    assert_eq!(as_app("SELECT count(*) FROM projects"), Ok("0".to_owned()), "without an organization");
    for change in
        ["UPDATE audit_events SET result = 'denied'", "DELETE FROM audit_events", "TRUNCATE audit_events"]
    {
        assert!(as_app(change).is_err_and(|error| error.contains("permission denied")), "{change}");
    }
}

fn metrics_count() {
    agent().get("/api/v1/projects").expect(200);
    let text = PLATFORM
        .on("app", "curl -sf http://10.0.0.20:9464/metrics || curl -sf http://10.0.0.20:9465/metrics");
    let counted = r#"app_http_requests_total{method="GET",route="/api/v1/projects",status="200"} "#;
    assert!(text.contains(counted), "{text}");
    assert!(text.contains("app_build_info{version="), "{text}");
}

fn stores_go_down() {
    let write = || agent().post("/api/v1/projects", &json!({"name": "Meanwhile"}));
    write().expect(201);
    for (host, unit, status) in
        [("cache", "valkey@cache", 201), ("cache", "valkey@durable", 201), ("db", "pgbouncer", 503)]
    {
        PLATFORM.on(host, &format!("systemctl stop {unit}"));
        eventually(&format!("readiness says that {unit} is down"), 20, || {
            (Caller::nobody().get("/readyz").status == 503).then_some(())
        });
        let answer = write();
        PLATFORM.on(host, &format!("systemctl start {unit}"));
        assert_eq!(answer.status, status, "without {unit}: {answer:?}");
        if status == 503 {
            assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
            problem(&answer, 503, "unavailable");
        }
        eventually(&format!("writes go on after {unit} was away"), 20, || {
            (write().status == 201).then_some(())
        });
    }
}
