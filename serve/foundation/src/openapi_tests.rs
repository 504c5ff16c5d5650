//! A document is complete, and what is missing from one is found.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use tower::ServiceExt as _;

use super::*;
use crate::html;
use crate::problem::codes;

fn operation<'a>(document: &'a Value, path: &str, method: &str) -> &'a Value {
    &document["paths"][path][method]
}

fn codes_of(document: &Value, path: &str, method: &str) -> BTreeSet<String> {
    let responses = operation(document, path, method)["responses"].as_object().expect("answers");
    let content =
        responses.values().flat_map(|answer| members(&answer["content"], "application/problem+json"));
    content
        .filter(|(name, _)| *name == "examples")
        .flat_map(|(_, codes)| codes.as_object())
        .flatten()
        .map(|(code, _)| code.clone())
        .collect()
}

fn names(document: &Value, value: &Value) -> Vec<String> {
    let found = value.as_array().into_iter().flatten().filter_map(|one| resolve(document, one));
    found.map(|one| one["name"].as_str().unwrap_or_default().to_owned()).collect()
}

fn headers(document: &Value, path: &str, method: &str, status: &str) -> Vec<String> {
    let answer = &operation(document, path, method)["responses"][status];
    members(answer, "headers").map(|(name, _)| name.clone()).collect()
}

#[test]
fn the_document_is_openapi_3_1_and_complete() {
    let document = sample::document();
    assert!(document.value()["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    assert_eq!(document.gaps(), []);
    assert!(!document.to_json().contains(EXTENSION), "the rules were used up");
}

#[test]
fn the_same_handlers_make_the_same_text() {
    let (first, second) = (sample::document().to_json(), sample::document().to_json());
    assert_eq!(first, second);
    let paths: Vec<_> = first.lines().filter(|line| line.starts_with("    \"/")).collect();
    assert!(paths.len() == 4 && paths.is_sorted(), "{paths:?}");
}

#[test]
fn who_may_ask_is_said_with_the_scopes() {
    let document = sample::document();
    let security = |path, method| operation(document.value(), path, method)["security"].clone();
    let both = json!([{ "bearer": ["tasks:write"] }, { "session": ["tasks:write"] }]);
    assert_eq!(security("/api/v1/tasks", "post"), both);
    assert_eq!(security("/api/v1/session", "delete"), json!([{ "session": [] }]));
    assert_eq!(security("/api/v1/time", "get"), json!([]));
    let schemes = &document.value()["components"]["securitySchemes"];
    assert_eq!(schemes["bearer"]["scheme"], "bearer");
    assert_eq!(schemes["session"]["name"], crate::auth::session::COOKIE);
}

#[test]
fn problems_follow_from_what_an_operation_is() {
    let document = sample::document();
    let has = |path, method, code: &crate::problem::Code| {
        codes_of(document.value(), path, method).contains(code.code)
    };
    for code in problems::EVERYWHERE {
        assert!(has("/api/v1/time", "get", code), "{}", code.code);
    }
    assert_eq!(codes_of(document.value(), "/api/v1/time", "get").len(), problems::EVERYWHERE.len());
    for code in [&codes::VALIDATION_FAILED, &codes::BODY_TOO_LARGE, &codes::IDEMPOTENCY_KEY_MISSING] {
        assert!(has("/api/v1/tasks", "post", code), "{}", code.code);
        assert!(!has("/api/v1/tasks", "get", code), "{}", code.code);
    }
    for code in [&codes::BAD_LIMIT, &codes::QUERY_INVALID] {
        assert!(has("/api/v1/tasks", "get", code), "{}", code.code);
        assert!(!has("/api/v1/tasks", "post", code), "{}", code.code);
    }
    assert!(has("/api/v1/tasks/{id}", "delete", &codes::PRECONDITION_REQUIRED));
    assert!(!has("/api/v1/tasks/{id}", "get", &codes::PRECONDITION_REQUIRED));
    assert!(has("/api/v1/tasks/{id}", "get", &codes::NOT_FOUND));
    assert!(has("/api/v1/session", "delete", &codes::CROSS_SITE));
    assert!(!has("/api/v1/session", "delete", &codes::IDEMPOTENCY_KEY_REUSED));
    let closed = operation(document.value(), "/api/v1/tasks/{id}", "delete");
    let closed =
        &closed["responses"]["409"]["content"]["application/problem+json"]["examples"]["task-closed"];
    let example = resolve(document.value(), closed).expect("an example");
    assert_eq!(example["value"]["type"], "/problems/task-closed");
    assert_eq!(example["value"]["status"], 409);
}

#[test]
fn headers_and_parameters_follow_from_the_rules() {
    let document = sample::document();
    let document = document.value();
    let parameters = |path, method| names(document, &operation(document, path, method)["parameters"]);
    let paged = parameters("/api/v1/tasks", "get");
    assert_eq!(paged, ["state", "X-Request-ID", "traceparent", "limit", "cursor"]);
    assert!(parameters("/api/v1/tasks", "post").contains(&"Idempotency-Key".to_owned()));
    assert!(parameters("/api/v1/tasks/{id}", "delete").contains(&"If-Match".to_owned()));
    assert!(parameters("/api/v1/tasks/{id}", "get").contains(&"If-None-Match".to_owned()));
    let created = headers(document, "/api/v1/tasks", "post", "201");
    for name in ["Location", "ETag", "Idempotency-Replayed", "RateLimit", "X-Request-ID", "traceparent"] {
        assert!(created.contains(&name.to_owned()), "{name} in {created:?}");
    }
    assert!(headers(document, "/api/v1/tasks", "get", "200").contains(&"Link".to_owned()));
    assert!(headers(document, "/api/v1/tasks", "get", "429").contains(&"Retry-After".to_owned()));
    assert!(headers(document, "/api/v1/tasks/{id}", "get", "304").contains(&"ETag".to_owned()));
    assert!(!headers(document, "/api/v1/tasks/{id}", "delete", "204").contains(&"ETag".to_owned()));
    assert!(!headers(document, "/api/v1/time", "get", "200").contains(&"RateLimit".to_owned()));
}

#[test]
fn each_kind_of_gap_is_found() {
    let remove = |pointer: &str, member: &str| {
        let mut document = sample::document();
        let owner = document.0.pointer_mut(pointer).and_then(Value::as_object_mut).expect(pointer);
        owner.remove(member).unwrap_or_else(|| panic!("{pointer} has no {member}"));
        document.gaps().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let show = "/paths/~1api~1v1~1tasks~1{id}/get";
    let create = "/paths/~1api~1v1~1tasks/post";
    let json = |status: &str| format!("{show}/responses/{status}/content/application~1json");
    let cases = [
        ("/info".to_owned(), "title", "the document lacks a title"),
        (String::new(), "openapi", "the document lacks version 3.1 of OpenAPI"),
        ("/tags/0".to_owned(), "description", "tag tasks lacks a description"),
        (show.to_owned(), "summary", "GET /api/v1/tasks/{id} lacks a summary"),
        (show.to_owned(), "operationId", "GET /api/v1/tasks/{id} lacks an operationId"),
        (show.to_owned(), "tags", "GET /api/v1/tasks/{id} lacks a tag"),
        (show.to_owned(), "security", "GET /api/v1/tasks/{id} lacks security, or that it needs none"),
        (show.to_owned(), "parameters", "GET /api/v1/tasks/{id} lacks its parameter id"),
        (
            format!("{show}/parameters/0"),
            "description",
            "parameter id of GET /api/v1/tasks/{id} lacks a description",
        ),
        (format!("{show}/parameters/0"), "schema", "parameter id of GET /api/v1/tasks/{id} lacks a schema"),
        (format!("{show}/responses"), "200", "GET /api/v1/tasks/{id} lacks an answer that is no problem"),
        (
            format!("{show}/responses/200"),
            "description",
            "answer 200 of GET /api/v1/tasks/{id} lacks a description",
        ),
        (format!("{show}/responses/200"), "content", "answer 200 of GET /api/v1/tasks/{id} lacks content"),
        (json("200"), "schema", "application/json in answer 200 of GET /api/v1/tasks/{id} lacks a schema"),
        (json("200"), "example", "application/json in answer 200 of GET /api/v1/tasks/{id} lacks an example"),
        (
            format!("{create}/requestBody"),
            "description",
            "the body of POST /api/v1/tasks lacks a description",
        ),
        (
            "/components/schemas/Task/properties/title".to_owned(),
            "description",
            "title of schema Task lacks a description",
        ),
        (
            "/components/headers/Location".to_owned(),
            "description",
            "header Location of answer 201 of POST /api/v1/tasks lacks a description",
        ),
        (
            "/components/examples".to_owned(),
            "task-closed",
            "task-closed lacks what it refers to: #/components/examples/task-closed",
        ),
    ];
    for (pointer, member, gap) in cases {
        let found = remove(&pointer, member);
        assert!(found.iter().any(|found| found == gap), "{gap}: {found:#?}");
    }
}

#[test]
fn a_name_that_is_there_twice_and_a_tag_of_nobody_are_gaps() {
    let mut document = sample::document();
    let show = document.0.pointer_mut("/paths/~1api~1v1~1tasks~1{id}/get").expect("an operation");
    show["operationId"] = "createTask".into();
    show["tags"] = json!(["nobodys"]);
    let gaps: Vec<_> = document.gaps().iter().map(ToString::to_string).collect();
    assert!(gaps[0].contains("tag nobodys lacks its declaration"), "{gaps:?}");
    assert!(gaps[1].contains("`createTask` is that of POST /api/v1/tasks"), "{gaps:?}");
}

#[test]
fn what_cannot_be_described_is_refused() {
    let (collected, registry) = sample::collected();
    let without = Registry::new(&[]).expect("codes");
    let error = Document::new(&collected, &without).expect_err("an unknown code");
    assert!(matches!(&error, DocumentError::Code { code, .. } if code == "task-closed"), "{error}");
    let mut value = serde_json::to_value(&collected).expect("JSON");
    value["paths"]["/api/v1/time"]["get"][EXTENSION] = json!({ "who": "nobody" });
    let error = complete::document(&mut value, &registry).expect_err("no rules");
    assert!(error.to_string().contains(EXTENSION), "{error}");
}

async fn ask(path: &str, known: Option<&str>) -> (axum::http::response::Parts, String) {
    let mut request = Request::get(path);
    if let Some(known) = known {
        request = request.header("if-none-match", known);
    }
    let answer =
        router(&Pages::of(&sample::document())).oneshot(request.body(Body::empty()).expect("a request"));
    let (parts, body) = answer.await.expect("an answer").into_parts();
    let body = axum::body::to_bytes(body, 1 << 22).await.expect("a body");
    (parts, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn it_is_served_with_a_strong_tag() {
    for (path, kind) in [("/openapi.json", "application/json"), ("/docs", "text/html; charset=utf-8")] {
        let (parts, body) = ask(path, None).await;
        assert_eq!(
            (parts.status.as_u16(), &parts.headers["content-type"]),
            (200, &kind.parse().expect("a type"))
        );
        assert_eq!(parts.headers["cache-control"], "public, max-age=300");
        assert!(!body.is_empty());
        let tag = parts.headers["etag"].to_str().expect("text");
        assert!(tag.starts_with('"'), "{tag}");
        let (parts, body) = ask(path, Some(tag)).await;
        assert_eq!((parts.status.as_u16(), body.as_str()), (304, ""));
        assert_eq!(ask(path, Some("\"other\"")).await.0.status, 200);
    }
}

#[tokio::test]
async fn the_page_needs_nothing_but_itself() {
    let (parts, page) = ask("/docs", None).await;
    assert_eq!(parts.headers["content-security-policy"], html::policy(page::STYLE));
    for foreign in
        ["<script", "<img", "<iframe", "<link", "@import", "url(", "src=", " style=", "href=\"http"]
    {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("Water &lt;the&gt; plants") && !page.contains("<the>"));
    for shown in ["An API of <code>tasks</code>.", "tasks:write", "/problems/task-closed", "Idempotency-Key"]
    {
        assert!(page.contains(shown), "{shown}");
    }
}

#[tokio::test]
async fn every_link_of_the_page_leads_somewhere() {
    let (_, page) = ask("/docs", None).await;
    let attributes = |name: &str| -> BTreeSet<String> {
        let start = format!(" {name}=\"");
        let parts = page.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next());
        parts.map(str::to_owned).collect()
    };
    let ids = attributes("id");
    let links = attributes("href");
    let within: Vec<_> = links.iter().filter_map(|link| link.strip_prefix('#')).collect();
    assert!(within.len() > 20, "{within:?}");
    for link in within {
        assert!(ids.contains(link), "#{link} leads nowhere");
    }
    assert_eq!(page.matches(" id=\"").count(), ids.len(), "every anchor is there once");
}
