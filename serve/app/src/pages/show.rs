//! From a template to an answer.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::html;
use foundation::problem::Problem;

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
    html::rendered(status, template.render())
}
