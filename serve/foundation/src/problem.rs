//! Errors as RFC 9457 problem documents: what went wrong for the caller, nothing of the inside.

pub mod codes;

use axum::http::header::{self, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

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

/// What is wrong with one value of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the value.
    pub pointer: String,
    /// Stable name of what is wrong.
    pub code: &'static str,
    /// What is wrong, for a person.
    pub detail: String,
}

/// One occurrence of a problem, sent as `application/problem+json`.
#[derive(Debug)]
pub struct Problem {
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
        Self { code, detail: None, errors: Vec::new(), members: Map::new(), headers: HeaderMap::new() }
    }

    /// Says what to know about this occurrence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what is wrong with one value of the request.
    #[must_use]
    pub fn error(
        mut self,
        pointer: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), code, detail: detail.into() });
        self
    }

    /// Adds an extension member.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Its kind.
    #[must_use]
    pub fn code(&self) -> &'static Code {
        self.code
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut document = Map::new();
        document.insert("type".to_owned(), format!("/problems/{}", self.code.code).into());
        document.insert("title".to_owned(), self.code.title.into());
        document.insert("status".to_owned(), self.code.status.into());
        document.insert("code".to_owned(), self.code.code.into());
        if let Some(detail) = &self.detail {
            document.insert("detail".to_owned(), detail.as_str().into());
        }
        if !self.errors.is_empty() {
            let errors = self.errors.iter().map(|error| {
                serde_json::json!({"pointer": error.pointer, "code": error.code, "detail": error.detail})
            });
            document.insert("errors".to_owned(), errors.collect());
        }
        document.extend(self.members.clone());
        Value::Object(document)
    }
}

/// How long to wait before trying again what could not be served, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// Something that the server needs does not answer, and may soon.
#[must_use]
pub fn unavailable(detail: &str) -> Problem {
    Problem::new(&codes::UNAVAILABLE).detail(detail).header(header::RETRY_AFTER, RETRY_AFTER)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.headers.clone(), axum::Json(self.document())).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
