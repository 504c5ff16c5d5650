//! Serves a document: to programs as it is, to people as a page.

use std::sync::Arc;

use axum::Router;
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
    json: axum::body::Bytes,
    json_tag: ETag,
    page: axum::body::Bytes,
    page_tag: ETag,
    policy: HeaderValue,
}

/// `/openapi.json` and `/docs`, both made once.
pub fn router(document: &Document) -> Router {
    let (json, page) = (document.to_json(), page::render(document.value()));
    let served = Served {
        json_tag: ETag::of_content(json.as_bytes()),
        page_tag: ETag::of_content(page.as_bytes()),
        policy: html::policy(page::STYLE),
        json: json.into(),
        page: page.into(),
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
