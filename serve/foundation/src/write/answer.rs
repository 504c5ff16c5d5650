//! The answer to a write: sent once, and kept so that it can be given again.

use std::fmt;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::Row;

use super::idempotency::REPLAYED;
use crate::etag::ETag;
use crate::problem::{self, Code, Problem, codes};
use crate::telemetry::Line;

/// Headers that are kept with an answer; all others are of the occasion.
const KEPT: [HeaderName; 3] = [CONTENT_TYPE, ETAG, LOCATION];

/// The answer to a write, as it is sent and kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    secret: bool,
    /// The kind of problem that it is, if it is one: what counts and logs answers asks for it.
    problem: Option<&'static Code>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Answer {
    /// An answer with `value` as JSON.
    ///
    /// # Errors
    /// A problem where the value cannot be JSON, which is the server's mistake.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value).map_err(|error| {
            tracing::error!(%error, "an answer cannot be written as JSON");
            Problem::new(&codes::INTERNAL)
        })?;
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Ok(Self { status, headers, body, secret: false, problem: None })
    }

    /// An answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Vec::new(), secret: false, problem: None }
    }

    /// Adds a header. Those of [`CONTENT_TYPE`], [`ETAG`] and [`LOCATION`] are kept with the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Adds the version of what was written.
    #[must_use]
    pub fn tagged(self, tag: &ETag) -> Self {
        self.header(ETAG, tag.header())
    }

    /// Adds the path of what was made. One that cannot be a header, which no path of ours is, is left out.
    #[must_use]
    pub fn located(self, path: &str) -> Self {
        match HeaderValue::try_from(path) {
            Ok(path) => self.header(LOCATION, path),
            Err(_) => self,
        }
    }

    /// The body holds a secret that is shown once: what is kept of it is sealed, and nobody on the way may keep it.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Sends a browser on to another page, which it then reads.
    #[must_use]
    pub fn see_other(path: &str) -> Self {
        Self::empty(StatusCode::SEE_OTHER).located(path)
    }

    pub(super) fn of_problem(problem: Problem) -> Self {
        let mut headers = problem.headers().clone();
        headers.insert(CONTENT_TYPE, problem::CONTENT);
        let body = problem.document().to_string().into_bytes();
        Self { status: problem.status(), headers, body, secret: false, problem: Some(problem.code()) }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn is_secret(&self) -> bool {
        self.secret
    }

    /// The answer, for the first time.
    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if self.secret {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if let Some(kind) = self.problem {
            problem::mark(&mut response, kind);
        }
        response
    }

    /// The answer, given again.
    pub(super) fn replay(self) -> Response {
        let mut response = self.into_response();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Line::say(|line| line.result("replayed"));
        response
    }

    pub(super) fn kept_headers(&self) -> Value {
        let kept = KEPT.iter().filter_map(|name| {
            let value = self.headers.get(name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), Value::from(value)))
        });
        Value::Object(kept.collect())
    }

    /// What was kept, with its body in the clear; `own` are the application's problems.
    pub(super) fn from_row(row: &Row, body: Vec<u8>, own: &[&'static Code]) -> Option<Self> {
        let kept: Value = row.get("headers");
        let headers = kept.as_object()?.iter().filter_map(|(name, value)| {
            let name = KEPT.iter().find(|kept| kept.as_str() == name)?;
            Some((name.clone(), HeaderValue::from_str(value.as_str()?).ok()?))
        });
        let headers: HeaderMap = headers.collect();
        let status = u16::try_from(row.get::<_, i16>("status")).ok()?;
        let is_problem = headers.get(CONTENT_TYPE) == Some(&problem::CONTENT);
        Some(Self {
            status: StatusCode::from_u16(status).ok()?,
            headers,
            problem: if is_problem { kind_of(&body, own) } else { None },
            body,
            secret: row.get::<_, Option<&str>>("sealed_by").is_some(),
        })
    }
}

/// The kind of problem of a document, if it is one of the foundation's or of the application's `own`.
fn kind_of(document: &[u8], own: &[&'static Code]) -> Option<&'static Code> {
    #[derive(Deserialize)]
    struct Document {
        code: String,
    }
    let Document { code } = serde_json::from_slice(document).ok()?;
    codes::ALL.iter().chain(own).find(|known| known.code == code).copied()
}
