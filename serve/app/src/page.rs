//! A page for people: which release is up, and what it reaches.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};

use crate::routes::App;
use crate::stores::Reached;

/// Nothing but this server's own stylesheet; no script at all.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`.
pub async fn home(State(app): State<Arc<App>>) -> Response {
    let reached = app.stores.reach().await;
    app.telemetry.record_reached(reached);
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, render(app.public_url.host_str().unwrap_or_default(), &app.release, reached)).into_response()
}

/// `GET /style.css`.
pub async fn style() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, include_str!("page.css")).into_response()
}

fn render(site: &str, release: &str, reached: Reached) -> String {
    let (class, headline) =
        if reached.all() { ("up", "Everything answers") } else { ("down", "Something does not answer") };
    let row = |name: &str, purpose: &str, up: bool| {
        let (class, word) = if up { ("up", "answers") } else { ("down", "does not answer") };
        format!(
            "<tr><th scope=\"row\">{name}<small>{purpose}</small></th><td class=\"{class}\">{word}</td></tr>\n"
        )
    };
    let rows = [
        row("PostgreSQL", "through PgBouncer", reached.database),
        row("Valkey, durable", "sessions and queues", reached.durable),
        row("Valkey, cache", "may forget", reached.cache),
    ]
    .concat();
    let (site, release) = (escape(site), escape(release));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{headline} · {site}</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n<main>\n\
         <p class=\"site\">{site}</p>\n<h1 class=\"{class}\">{headline}</h1>\n\
         <p>Release <code>{release}</code> is up. Asked just now:</p>\n\
         <table>\n{rows}</table>\n\
         <p class=\"note\">For programs: <a href=\"/readyz\">/readyz</a> says the same, and \
         <code>POST /api/v1/pings</code> writes to all three.</p>\n</main>\n</body>\n</html>\n"
    )
}

/// Text into HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_does_not_answer() {
        let page =
            render("app.example.test", "1.0.0", Reached { database: true, durable: false, cache: true });
        assert!(page.contains("Something does not answer"), "{page}");
        assert_eq!(page.matches("<td class=\"up\">answers").count(), 2, "{page}");
        assert_eq!(page.matches("<td class=\"down\">does not answer").count(), 1, "{page}");
    }

    #[test]
    fn names_from_the_environment_are_text() {
        let page = render("a", "<script>", Reached { database: true, durable: true, cache: true });
        assert!(!page.contains("<script>"), "{page}");
    }
}
