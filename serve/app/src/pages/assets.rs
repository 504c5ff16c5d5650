//! What pages load beside themselves: one stylesheet and one icon, at paths that change with their content.

use std::sync::LazyLock;

use axum::Router;
use foundation::html::Asset;

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

/// The files, for everybody and without limits: whoever may ask for a page may ask for these.
pub fn router() -> Router {
    Router::new().route(style(), STYLE.route()).route(icon(), ICON.route())
}
