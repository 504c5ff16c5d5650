//! What a client is told that does not get what it asks for (RFC 6749, section 5.2).

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use foundation::database::DatabaseError;
use foundation::problem::Problem;
use serde::Serialize;

/// Nobody on the way may keep what clients are told.
pub const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    error: &'static str,
    description: Cow<'static, str>,
    challenge: Option<&'static str>,
    wait: Option<Duration>,
}

#[derive(Serialize)]
struct Document<'a> {
    error: &'static str,
    error_description: &'a str,
}

impl Refusal {
    fn new(status: StatusCode, error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self { status, error, description: description.into(), challenge: None, wait: None }
    }

    /// With an error that says what is wrong.
    pub fn bad(error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, description)
    }

    /// The request is not as it should be.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::bad("invalid_request", description)
    }

    /// The code or token is not good, or not for this client.
    pub fn invalid_grant(description: impl Into<Cow<'static, str>>) -> Self {
        Self::bad("invalid_grant", description)
    }

    /// The client has not proven who it is. `by_header` says whether it tried to with the header.
    pub fn invalid_client(by_header: bool) -> Self {
        let description = "The client is unknown, or has not proven who it is.";
        let refusal = Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description);
        Self { challenge: by_header.then_some(r#"Basic realm="clients", charset="UTF-8""#), ..refusal }
    }

    /// Too many attempts have failed.
    pub fn slow_down(wait: Duration) -> Self {
        let description =
            "Too many attempts from this address have failed; wait for as long as Retry-After says.";
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", description);
        Self { wait: Some(wait), ..refusal }
    }

    /// Something that is needed does not answer.
    pub fn unavailable(description: impl Into<Cow<'static, str>>) -> Self {
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", description);
        Self { wait: Some(Duration::from_secs(2)), ..refusal }
    }

    /// Its error.
    #[must_use]
    pub fn error(&self) -> &'static str {
        self.error
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let document = Document { error: self.error, error_description: &self.description };
        let mut response = (self.status, axum::Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, NO_STORE);
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(wait) = self.wait {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        response
    }
}

/// Why a client has no answer.
#[derive(Debug)]
pub enum Failure {
    /// It does not get what it asks for.
    Refused(Refusal),
    /// The server could not do it.
    Failed(Problem),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::Failed(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refusal) => refusal.into_response(),
            Self::Failed(problem) => problem.into_response(),
        }
    }
}
