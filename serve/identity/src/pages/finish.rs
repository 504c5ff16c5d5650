//! The last hand on the answers that people see: problems become pages, every page has its security headers, what is said is
//! said in the reader's language, and a browser does not keep more attempts than fit into a request.

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use foundation::{html, problem};
use serde::Deserialize;

use super::texts::{self, Phrase, Texts};
use super::{language, show};
use crate::attempt;

/// Paths that answer programs alone.
const FOR_PROGRAMS: [&str; 3] = ["/livez", "/readyz", "/.well-known/"];
/// More than any problem document has.
const LONGEST: usize = 256 << 10;
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Around everything there is.
pub async fn finish(request: Request, next: Next) -> Response {
    let takes_page = takes_page(&request);
    let again = again(&request);
    let sent: Vec<HeaderValue> = request.headers().get_all(COOKIE).iter().cloned().collect();
    let language = language::chosen(request.uri(), request.headers());
    language::within(language, async {
        let mut response = next.run(request).await;
        if takes_page && response.headers().get(CONTENT_TYPE) == Some(&problem::CONTENT) {
            response = explain(response, again.as_deref()).await;
        }
        if response.headers().get(CONTENT_TYPE) == Some(&html::CONTENT) {
            secure(response.headers_mut());
        }
        attempt::crowd_out(&sent, response.headers_mut());
        response
    })
    .await
}

/// Browsers say that they take pages, and programs do not.
fn takes_page(request: &Request) -> bool {
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let for_programs = FOR_PROGRAMS.iter().any(|start| request.uri().path().starts_with(start));
    accepted.contains("text/html") && !for_programs
}

/// Where the same can be asked once more: a place of this site, read by opening it.
fn again(request: &Request) -> Option<String> {
    let here = request.uri().path_and_query()?.as_str();
    let is_of_this_site = here.starts_with('/') && !here.starts_with("//") && !here.contains('\\');
    (request.method() == Method::GET && is_of_this_site).then(|| here.to_owned())
}

fn secure(headers: &mut HeaderMap) {
    headers.entry(CONTENT_SECURITY_POLICY).or_insert_with(|| {
        HeaderValue::try_from(show::policy("'self'"))
            .unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
    });
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // With `no-referrer`, browsers send the forms of a page with `Origin: null`, which proves nothing.
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
}

/// A problem document, as far as a person wants to know.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: String,
    detail: Option<String>,
    request_id: Option<String>,
}

impl Refusal {
    /// What happened, and what to do now.
    fn words(&self, status: StatusCode, texts: &'static Texts) -> (&'static Phrase, &'static Phrase) {
        let words = &texts.problem;
        match (self.code.as_str(), status.as_u16()) {
            ("cross-site", _) => (&words.cross_site, &words.cross_site_text),
            ("authorization-refused", _) => (&words.authorization, &words.authorization_text),
            ("logout-refused", _) => (&words.logout, &words.logout_text),
            ("unauthenticated", _) => (&words.ended, &words.ended_text),
            (_, 404) => (&words.not_found, &words.not_found_text),
            (_, 405) => (&words.method, &words.method_text),
            (_, 429) => (&words.wait, &words.wait_text),
            (_, 503) => (&words.unavailable, &words.unavailable_text),
            (_, 500..) => (&words.title, &words.ours),
            _ => (&words.title, &words.other),
        }
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    texts: &'static Texts,
    title: &'static Phrase,
    text: &'static Phrase,
    detail: Option<&'a str>,
    /// Where to try again, where waiting helps.
    again: Option<&'a str>,
    request: Option<&'a str>,
}

async fn explain(response: Response, again: Option<&str>) -> Response {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, LONGEST).await.unwrap_or_default();
    let refusal: Refusal = serde_json::from_slice(&bytes).unwrap_or_default();
    let texts = texts::current();
    let (title, text) = refusal.words(parts.status, texts);
    // What nobody has foreseen is said as programs are told, and what a client does wrong too: often somebody looks who is
    // just building one.
    let problem = &texts.problem;
    let for_builders = [&problem.other, &problem.authorization_text, &problem.logout_text];
    let detail =
        refusal.detail.as_deref().filter(|_| for_builders.iter().any(|known| std::ptr::eq(text, *known)));
    let again = again.filter(|_| matches!(parts.status.as_u16(), 429 | 500..));
    let page = ProblemPage { texts, title, text, detail, again, request: refusal.request_id.as_deref() };
    let Ok(mut page) = show::page_with(parts.status, &page) else {
        return Response::from_parts(parts, Body::from(bytes)).into_response();
    };
    // What the problem's answer says of limits, the request and the session holds for the page too.
    let mut headers = parts.headers;
    headers.remove(CONTENT_TYPE);
    headers.remove(CONTENT_LENGTH);
    page.headers_mut().extend(headers);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(uri: &str, accept: Option<&str>) -> bool {
        let request = Request::get(uri);
        let request = accept.into_iter().fold(request, |request, kinds| request.header(ACCEPT, kinds));
        takes_page(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn browsers_get_pages_and_programs_get_problems() {
        let browser = Some("text/html,application/xhtml+xml,*/*;q=0.8");
        assert!(takes("/account", browser) && takes("/nowhere", browser));
        assert!(!takes("/account", None) && !takes("/token", Some("*/*")));
        assert!(!takes("/readyz", browser) && !takes("/.well-known/openid-configuration", browser));
    }

    #[test]
    fn what_is_tried_again_is_of_this_site() {
        let of = |method: Method, uri: &str| {
            again(&Request::builder().method(method).uri(uri).body(Body::empty()).unwrap())
        };
        assert_eq!(of(Method::GET, "/authorize?a=b").as_deref(), Some("/authorize?a=b"));
        for bad in ["//evil.example/", "//evil.example", "https://id.example//evil.example/"] {
            assert_eq!(of(Method::GET, bad), None, "{bad}");
        }
        assert_eq!(of(Method::POST, "/logout"), None);
    }

    #[test]
    fn every_kind_of_problem_says_what_to_do() {
        for status in [400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            let (title, text) = Refusal::default().words(status, texts::first());
            assert!(!title.to_string().is_empty() && text.to_string().ends_with('.'), "{status}");
        }
    }
}
