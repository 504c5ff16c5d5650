//! What the outside can see of the inside: one JSON log line a request, and metrics by route.

mod line;
mod log;
mod metrics;
mod scrub;
pub mod sentry;

use std::time::Duration;

use axum::http::{Method, StatusCode};

pub use line::Line;
pub use log::JsonLines;
pub use metrics::{Metrics, router};
pub use scrub::Scrubber;

use crate::problem::Code;

/// What was seen of one request from the border.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The method as it was sent; logs and metrics know only those of HTTP.
    pub method: &'a Method,
    /// The route's template; none where no path matched.
    pub route: Option<&'a str>,
    /// The answer's status.
    pub status: StatusCode,
    /// The kind of problem that the answer was.
    pub problem: Option<&'static Code>,
    /// From the headers of the request to the headers of the answer.
    pub elapsed: Duration,
}

impl Seen<'_> {
    /// The template, or one name for all paths that are not there: a label must not be the caller's to invent.
    fn route(&self) -> &str {
        self.route.unwrap_or("unmatched")
    }

    /// Callers can invent methods; labels cannot.
    fn method(&self) -> &'static str {
        match self.method.as_str() {
            "GET" => "GET",
            "HEAD" => "HEAD",
            "POST" => "POST",
            "PUT" => "PUT",
            "PATCH" => "PATCH",
            "DELETE" => "DELETE",
            "OPTIONS" => "OPTIONS",
            _ => "other",
        }
    }
}
