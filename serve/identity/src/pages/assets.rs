//! What pages load beside themselves: one stylesheet and one icon, at paths that change with their content.

use std::sync::{Arc, LazyLock};

use axum::Router;
use foundation::html::Asset;

use crate::state::Broker;

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", include_str!("style.css")));
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("icon.svg")));

/// Where the stylesheet is.
pub fn style() -> &'static str {
    STYLE.path()
}

/// Where the icon is.
pub fn icon() -> &'static str {
    ICON.path()
}

/// The files.
pub fn routes() -> Router<Arc<Broker>> {
    Router::new().route(style(), STYLE.route()).route(icon(), ICON.route())
}
