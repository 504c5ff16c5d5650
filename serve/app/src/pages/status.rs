//! Which release is up, and what it reaches; for everybody.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::Response;
use foundation::html;

use crate::state::App;

const STYLE: &str = include_str!("status.css");
/// Each store: its check, what people call it, what it is for.
const STORES: [(&str, &str, &str); 3] = [
    ("database", "PostgreSQL", "through PgBouncer"),
    ("durable", "Valkey, durable", "sessions and queues"),
    ("cache", "Valkey, cache", "may forget"),
];

/// `GET /status`.
pub async fn show(State(app): State<Arc<App>>) -> Response {
    let missing = app.health.missing().await;
    let page = render(app.public_url.host_str().unwrap_or_default(), &app.release, &missing);
    let mut response = html::response(page, html::policy(STYLE));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn render(site: &str, release: &str, missing: &[&str]) -> String {
    let (class, headline) =
        if missing.is_empty() { ("up", "Everything answers") } else { ("down", "Something does not answer") };
    let row = |(check, name, purpose): (&str, &str, &str)| {
        let (class, word) =
            if missing.contains(&check) { ("down", "does not answer") } else { ("up", "answers") };
        format!(
            "<tr><th scope=\"row\">{name}<small>{purpose}</small></th><td class=\"{class}\">{word}</td></tr>\n"
        )
    };
    let rows = STORES.map(row).concat();
    let title = format!("{headline} · {site}");
    let (site, release) = (html::escape(site), html::escape(release));
    let main = format!(
        "<main>\n<p class=\"site\">{site}</p>\n<h1 class=\"{class}\">{headline}</h1>\n\
         <p>Release <code>{release}</code> is up. Asked just now:</p>\n\
         <table>\n{rows}</table>\n\
         <p class=\"note\">For programs: <a href=\"/readyz\">/readyz</a> says the same, \
         <a href=\"/docs\">the API is described</a>, and <a href=\"/problems/\">every problem</a> that \
         an answer can name is explained.</p>\n</main>"
    );
    html::page(&title, STYLE, &main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_does_not_answer() {
        let page = render("app.example.test", "1.0.0", &["durable"]);
        assert!(page.contains("Something does not answer"), "{page}");
        assert_eq!(page.matches("<td class=\"up\">answers").count(), 2, "{page}");
        assert_eq!(page.matches("<td class=\"down\">does not answer").count(), 1, "{page}");
    }

    #[test]
    fn names_from_the_environment_are_text() {
        let page = render("<script>", "<script>", &[]);
        assert!(!page.contains("<script>"), "{page}");
    }
}
