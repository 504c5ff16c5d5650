//! Serves a document: to programs as it is, to people as a page.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{Document, page};
use crate::etag::{self, ETag};
use crate::html;
use crate::problem::Problem;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CACHEABLE: HeaderValue = HeaderValue::from_static("public, max-age=300");

struct Served {
    json: Bytes,
    json_tag: ETag,
    page: Bytes,
    page_tag: ETag,
    policy: HeaderValue,
}

/// A document as it is served.
pub struct Pages {
    json: String,
    page: String,
}

impl Pages {
    /// Writes the document down for programs and for people.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        Self { json: document.to_json(), page: page::render(document.value()) }
    }
}

/// `/openapi.json` and `/docs`. Keeps copies, so that nothing stays of where the pages were made.
pub fn router(pages: &Pages) -> Router {
    let (json, page) = (pages.json.as_bytes(), pages.page.as_bytes());
    let served = Served {
        json_tag: ETag::of_content(json),
        page_tag: ETag::of_content(page),
        policy: html::policy(page::STYLE),
        json: Bytes::copy_from_slice(json),
        page: Bytes::copy_from_slice(page),
    };
    Router::new()
        .route("/openapi.json", get(show_json))
        .route("/docs", get(show_page))
        .with_state(Arc::new(served))
}

async fn show_json(State(served): State<Arc<Served>>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(known) = etag::not_modified(&headers, &served.json_tag)? {
        return Ok(cacheable(known));
    }
    let mut response = served.json_tag.on(served.json.clone());
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(cacheable(response))
}

async fn show_page(State(served): State<Arc<Served>>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(known) = etag::not_modified(&headers, &served.page_tag)? {
        return Ok(cacheable(known));
    }
    Ok(served.page_tag.on(html::response(served.page.clone(), served.policy.clone())))
}

fn cacheable(response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert(CACHE_CONTROL, CACHEABLE);
    response
}
