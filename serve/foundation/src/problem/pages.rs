//! `/problems/` and `/problems/{code}`: where the `type` of every problem leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::registry::Registry;
use super::{Code, Problem, codes};
use crate::html;

const STYLE: &str = include_str!("../html/reference.css");

struct Pages {
    index: String,
    by_code: BTreeMap<&'static str, String>,
    policy: HeaderValue,
}

/// The pages of every code in the registry; made once.
pub fn router(registry: &Registry) -> Router {
    let by_code = registry.iter().map(|code| (code.code, one(code))).collect();
    let pages = Arc::new(Pages { index: index(registry), by_code, policy: html::policy(STYLE) });
    Router::new()
        .route("/problems/", get(show_index))
        .route("/problems", get(|| async { Redirect::permanent("/problems/") }))
        .route("/problems/{code}", get(show_one))
        .with_state(pages)
}

async fn show_index(State(pages): State<Arc<Pages>>) -> Response {
    html::response(pages.index.clone(), pages.policy.clone())
}

async fn show_one(State(pages): State<Arc<Pages>>, Path(code): Path<String>) -> Response {
    match pages.by_code.get(code.as_str()) {
        Some(page) => html::response(page.clone(), pages.policy.clone()),
        None => Problem::new(&codes::NOT_FOUND)
            .detail("No problem has this code; /problems/ lists those there are.")
            .into_response(),
    }
}

fn index(registry: &Registry) -> String {
    let rows: String = registry
        .iter()
        .map(|code| {
            format!(
                "<tr><td>{}</td><th scope=\"row\"><a href=\"{}\"><code>{}</code></a></th><td>{}</td></tr>\n",
                code.status,
                code.uri(),
                code.code,
                html::escape(code.title)
            )
        })
        .collect();
    let main = format!(
        "<main>\n<h1>Problems</h1>\n<p>Every error of this API is a problem document \
         (<code>application/problem+json</code>, RFC 9457). Its member <code>code</code> is one of these and does not \
         change; <code>detail</code> is for people; <code>request_id</code> finds the request in the server's log.\
         </p>\n<div class=\"wide\" role=\"region\" aria-label=\"All problems\" tabindex=\"0\"><table>\n<thead><tr>\
         <th scope=\"col\">Status</th><th scope=\"col\">Code</th><th scope=\"col\">Meaning</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table></div>\n</main>"
    );
    html::page("Problems", STYLE, &main)
}

fn one(code: &'static Code) -> String {
    let example = Problem::new(code).document();
    let example = serde_json::to_string_pretty(&example).unwrap_or_default();
    let main = format!(
        "<nav aria-label=\"Breadcrumb\"><a href=\"/problems/\">Problems</a></nav>\n<main>\n<h1>{}</h1>\n<dl>\n\
         <dt>Code</dt><dd><code>{}</code></dd>\n<dt>Status</dt><dd>{}</dd>\n</dl>\n<p>{}</p>\n<h2>As it is \
         sent</h2>\n<pre tabindex=\"0\"><code>{}</code></pre>\n</main>",
        html::escape(code.title),
        code.code,
        code.status,
        html::escape(code.about),
        html::escape(&example)
    );
    html::page(code.title, STYLE, &main)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    async fn get_page(path: &str) -> (u16, String, String) {
        let router = router(&Registry::new(&[]).expect("codes"));
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = router.oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let policy = response.headers().get("content-security-policy");
        let policy = policy.map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        (status, policy, String::from_utf8(bytes.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn the_type_of_every_problem_leads_to_its_page() {
        for code in codes::ALL {
            let (status, policy, page) = get_page(&code.uri()).await;
            assert_eq!(status, 200, "{}", code.code);
            assert!(page.contains(&html::escape(code.about)), "{page}");
            assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
            assert!(!page.contains("<script") && !page.contains("http:"), "{page}");
        }
        let (status, _, index) = get_page("/problems/").await;
        assert_eq!(status, 200);
        assert!(codes::ALL.iter().all(|code| index.contains(&code.uri())));
    }

    #[tokio::test]
    async fn an_unknown_code_is_a_problem_itself() {
        let (status, _, body) = get_page("/problems/nothing%22%3E").await;
        assert_eq!(status, 404);
        assert!(body.contains("\"code\":\"not-found\""), "{body}");
    }
}
