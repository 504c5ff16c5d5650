//! Pages for people that need nothing but themselves: no script, no outside host, light and dark.

mod asset;

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use asset::Asset;

use crate::problem::{Problem, codes};

/// The content type of pages.
pub const CONTENT: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Text into HTML, also into attributes in double quotes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A page with its one stylesheet inside; `main` is HTML.
#[must_use]
pub fn page(title: &str, style: &str, main: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>{style}</style>\n\
         </head>\n<body>\n{main}\n</body>\n</html>\n",
        escape(title)
    )
}

/// The policy under which a page with this inline stylesheet is shown: that stylesheet and nothing else.
#[must_use]
pub fn policy(style: &str) -> HeaderValue {
    let hash = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// The answer with a page that a template has made, or has failed to.
///
/// # Errors
/// A problem `internal` where it failed, which is the server's mistake.
pub fn rendered<E: std::fmt::Display>(
    status: StatusCode,
    html: Result<String, E>,
) -> Result<Response<Body>, Problem> {
    let html = html.map_err(|error| {
        tracing::error!(%error, "a page cannot be made");
        Problem::new(&codes::INTERNAL)
    })?;
    Ok((status, [(CONTENT_TYPE, CONTENT)], html).into_response())
}

/// The answer that shows a finished page.
#[must_use]
pub fn response(page: impl Into<Body>, policy: HeaderValue) -> Response<Body> {
    let mut response = Response::new(page.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, CONTENT);
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}
