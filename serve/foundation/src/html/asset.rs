//! Files that pages load: each at a path that changes with its content, so that browsers may keep it for ever.

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use crate::etag::ETag;

/// A file that never changes: another content has another path.
#[derive(Debug)]
pub struct Asset {
    path: String,
    kind: &'static str,
    content: &'static str,
}

impl Asset {
    /// `/assets/NAME-HASH.ENDING` with this content type and content.
    #[must_use]
    pub fn new(name: &str, ending: &str, kind: &'static str, content: &'static str) -> Self {
        let tag = ETag::of_content(content.as_bytes()).to_string();
        Self { path: format!("/assets/{name}-{}.{ending}", tag.trim_matches('"')), kind, content }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What answers there.
    pub fn route<S: Clone + Send + Sync + 'static>(&'static self) -> MethodRouter<S> {
        get(move || async move { self.answer() })
    }

    fn answer(&self) -> Response {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static(self.kind)),
            (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        (headers, self.content).into_response()
    }
}
