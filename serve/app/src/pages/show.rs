//! From a template to an answer.

use askama::Template;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use foundation::problem::{Problem, codes};

/// The content type of pages.
pub const CONTENT: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The page.
///
/// # Errors
/// A problem `internal` where the template fails, which is the server's mistake.
pub fn page(template: &impl Template) -> Result<Response, Problem> {
    page_with(StatusCode::OK, template)
}

/// The page, which says by its status that something did not go as asked.
///
/// # Errors
/// As [`page`].
pub fn page_with(status: StatusCode, template: &impl Template) -> Result<Response, Problem> {
    let html = template.render().map_err(|error| {
        tracing::error!(%error, "a page cannot be made");
        Problem::new(&codes::INTERNAL)
    })?;
    Ok((status, [(CONTENT_TYPE, CONTENT)], html).into_response())
}
