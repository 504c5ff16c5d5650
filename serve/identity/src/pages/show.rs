//! From a template to an answer.

use askama::Template;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderValue, StatusCode};
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

/// Lets the page's forms lead to other sites. Browsers hold a policy against every redirect that follows on a form: to the
/// login provider, back, on to the client, and wherever that goes on to; which sites these are nobody knows beforehand.
#[must_use]
pub fn leading_away(mut page: Response, redirect_uri: Option<&str>) -> Response {
    // Loopback addresses of programs on the person's own device are no https.
    let loopback =
        redirect_uri.and_then(|uri| url::Url::parse(uri).ok()).filter(|uri| uri.scheme() == "http");
    let more = loopback.map(|uri| format!(" {}", uri.origin().ascii_serialization())).unwrap_or_default();
    let policy = policy(&format!("'self' https:{more}"));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    page
}

/// Under which pages are shown: nothing is loaded but this site's stylesheet and pictures, no script, in no frame.
pub(super) fn policy(forms_lead_to: &str) -> String {
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action {forms_lead_to}; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}
