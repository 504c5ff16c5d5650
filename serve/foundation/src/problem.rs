//! Errors as RFC 9457 problem documents: what went wrong for the caller, nothing of the inside.
//!
//! A [`Problem`] becomes an answer by [`IntoResponse`]. The [`border`](crate::border), or [`complete`] where an
//! answer is stored before it leaves, adds which request it was.

pub mod codes;
pub mod pages;
pub mod registry;

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{self, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

/// The content type of problem documents.
pub const CONTENT: HeaderValue = HeaderValue::from_static("application/problem+json");
/// A longer path is no `instance`: nobody would read it.
const INSTANCE_LENGTH: usize = 512;

/// A kind of problem. Every one has a page of documentation, to which the document's `type` leads.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Its stable name, in lower case with hyphens.
    pub code: &'static str,
    /// The HTTP status that goes with it.
    pub status: u16,
    /// The kind in a few words; the same for every occurrence.
    pub title: &'static str,
    /// For the page of documentation: what it means, and what to do.
    pub about: &'static str,
}

impl Code {
    /// The URI of the kind, relative to the root of the site: its page of documentation.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("/problems/{}", self.code)
    }
}

/// The part of the request that a pointer points into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The body.
    Body,
    /// The query string, as an object of its parameters.
    Query,
    /// The parameters of the path, as an object.
    Path,
    /// The headers, as an object.
    Header,
}

/// What is wrong with one value of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the value.
    pub pointer: String,
    /// What the pointer points into.
    #[serde(rename = "in")]
    pub place: Place,
    /// Stable name of what is wrong.
    pub code: &'static str,
    /// What is wrong, for a person.
    pub detail: String,
}

/// One occurrence of a problem, sent as `application/problem+json`.
#[derive(Debug, Clone)]
pub struct Problem(Box<Occurrence>);

/// Boxed, so that results which are mostly fine stay small.
#[derive(Debug, Clone)]
struct Occurrence {
    code: &'static Code,
    detail: Option<String>,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(code: &'static Code) -> Self {
        Self(Box::new(Occurrence {
            code,
            detail: None,
            errors: Vec::new(),
            members: Map::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// Says what to know about this occurrence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds what is wrong with one value of the body.
    #[must_use]
    pub fn error(self, pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        self.error_in(Place::Body, pointer, code, detail)
    }

    /// Adds what is wrong with one value of a part of the request.
    #[must_use]
    pub fn error_in(
        mut self,
        place: Place,
        pointer: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        self.0.errors.push(FieldError { pointer: pointer.into(), place, code, detail: detail.into() });
        self
    }

    /// Adds an extension member.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(member.to_owned(), value.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// Its kind.
    #[must_use]
    pub fn code(&self) -> &'static Code {
        self.0.code
    }

    /// The headers of its answer.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// What is wrong with values of the request.
    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut document = Map::new();
        document.insert("type".to_owned(), self.0.code.uri().into());
        document.insert("title".to_owned(), self.0.code.title.into());
        document.insert("status".to_owned(), self.0.code.status.into());
        document.insert("code".to_owned(), self.0.code.code.into());
        if let Some(detail) = &self.0.detail {
            document.insert("detail".to_owned(), detail.as_str().into());
        }
        if !self.0.errors.is_empty() {
            let errors = self.0.errors.iter().map(|error| {
                serde_json::json!({
                    "pointer": error.pointer, "in": error.place, "code": error.code, "detail": error.detail
                })
            });
            document.insert("errors".to_owned(), errors.collect());
        }
        document.extend(self.0.members.clone());
        Value::Object(document)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response =
            (self.status(), self.0.headers.clone(), self.document().to_string()).into_response();
        mark(&mut response, self.0.code);
        response.extensions_mut().insert(Incomplete(Arc::new(self)));
        response
    }
}

/// Makes an answer whose body is a problem document known as one.
pub(crate) fn mark(response: &mut Response, kind: &'static Code) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, CONTENT);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(kind);
}

/// In an answer's extensions: a problem that does not say yet which request it is about.
#[derive(Clone)]
struct Incomplete(Arc<Problem>);

/// The kind of problem that an answer is, if it is one.
#[must_use]
pub fn kind(response: &Response) -> Option<&'static Code> {
    response.extensions().get::<&'static Code>().copied()
}

/// The document of a problem that does not say yet which request it is about.
pub(crate) fn document(response: &Response) -> Option<Value> {
    response.extensions().get::<Incomplete>().map(|Incomplete(problem)| problem.document())
}

/// Adds `request_id` and `instance` to a problem. Other answers, and problems that have them, stay as they are:
/// what stores an answer completes it first, and the border then leaves it alone.
#[must_use]
pub fn complete(mut response: Response, request_id: &str, uri: &Uri) -> Response {
    let Some(Incomplete(problem)) = response.extensions_mut().remove::<Incomplete>() else {
        return response;
    };
    let mut document = problem.document();
    if let Value::Object(members) = &mut document {
        members.insert("request_id".to_owned(), request_id.into());
        if uri.path().len() <= INSTANCE_LENGTH {
            members.insert("instance".to_owned(), uri.path().into());
        }
    }
    let body = document.to_string();
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = Body::from(body);
    response
}

/// How long to wait before trying again what could not be served, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// Something that the server needs does not answer, and may soon.
#[must_use]
pub fn unavailable(detail: &str) -> Problem {
    Problem::new(&codes::UNAVAILABLE).detail(detail).header(header::RETRY_AFTER, RETRY_AFTER)
}

/// For every path that is not there.
pub async fn not_found() -> Problem {
    Problem::new(&codes::NOT_FOUND).detail("There is nothing at this path.")
}

/// For every method that a path does not have; the router adds `Allow`.
pub async fn method_not_allowed() -> Problem {
    Problem::new(&codes::METHOD_NOT_ALLOWED)
        .detail("This path does not have this method; see the Allow header.")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(response: Response) -> Value {
        let bytes = axum::body::to_bytes(response.into_body(), 65_536).await.expect("a body");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    #[tokio::test]
    async fn a_problem_says_which_request_it_is_about() {
        let problem = Problem::new(&codes::NOT_FOUND).detail("No such task.").with("tasks", 3);
        let response = complete(problem.into_response(), "r-1", &Uri::from_static("/api/v1/tasks/1?x=1"));
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(kind(&response), Some(&codes::NOT_FOUND));
        let document = body(response).await;
        assert_eq!(
            document,
            serde_json::json!({
                "type": "/problems/not-found", "title": "There is nothing here", "status": 404,
                "code": "not-found", "detail": "No such task.", "tasks": 3,
                "request_id": "r-1", "instance": "/api/v1/tasks/1"
            })
        );
    }

    #[tokio::test]
    async fn a_completed_problem_stays_as_it_is() {
        let uri = Uri::from_static("/a");
        let once = complete(Problem::new(&codes::INTERNAL).into_response(), "first", &uri);
        let twice = complete(once, "second", &uri);
        assert_eq!(body(twice).await["request_id"], "first");
    }
}
