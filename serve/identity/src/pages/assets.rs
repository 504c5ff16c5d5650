//! What pages load beside themselves: one stylesheet and one icon, at paths that change with their content.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use foundation::etag::ETag;

use crate::state::Broker;

/// A file that never changes: another content has another path.
struct Asset {
    path: String,
    kind: &'static str,
    content: &'static str,
}

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", include_str!("style.css")));
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("icon.svg")));

impl Asset {
    fn new(name: &str, ending: &str, kind: &'static str, content: &'static str) -> Self {
        let tag = ETag::of_content(content.as_bytes()).to_string();
        Self { path: format!("/assets/{name}-{}.{ending}", tag.trim_matches('"')), kind, content }
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

/// Where the stylesheet is.
pub fn style() -> &'static str {
    &STYLE.path
}

/// Where the icon is.
pub fn icon() -> &'static str {
    &ICON.path
}

/// The files.
pub fn routes() -> Router<Arc<Broker>> {
    let asset = |asset: &'static LazyLock<Asset>| get(move || async move { asset.answer() });
    Router::new().route(style(), asset(&STYLE)).route(icon(), asset(&ICON))
}
