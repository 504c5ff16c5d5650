//! The last hand on the answers that people see: problems become pages, and every page has its security headers.

use std::sync::Arc;

use askama::Template;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use foundation::auth::csrf::is_unsafe;
use foundation::html;
use url::form_urlencoded;

use super::refusal::{self, Refusal};
use super::show;
use crate::sign_in;

/// Paths that answer programs; everything else is for people.
const FOR_PROGRAMS: [&str; 5] = ["/api/", "/livez", "/readyz", "/openapi.json", sign_in::BACK_CHANNEL];
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Under which every page is shown.
#[derive(Debug)]
pub struct Policy(HeaderValue);

impl Policy {
    /// Nothing is loaded or sent anywhere but from and to this site; a form may also lead to the issuer's, where people
    /// sign in and out.
    pub fn new(issuer: Option<&str>) -> Self {
        let led_to = issuer.map(|issuer| format!(" {issuer}")).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{led_to}; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        Self(HeaderValue::try_from(policy).unwrap_or(nothing))
    }
}

/// Around everything there is.
pub async fn finish(State(policy): State<Arc<Policy>>, request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let mut response = next.run(request).await;
    if asked.takes_page && refusal::is_problem(&response) {
        response = asked.explain(response).await;
    }
    if response.headers().get(CONTENT_TYPE) == Some(&html::CONTENT) {
        secure(response.headers_mut(), &policy);
    }
    response
}

fn secure(headers: &mut HeaderMap, policy: &Policy) {
    // Pages of the foundation's have a policy of their own, for the stylesheet within them.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert_with(|| policy.0.clone());
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // With `no-referrer`, browsers send the forms of a page with `Origin: null`, which proves nothing.
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
}

/// What was asked for, as far as it matters when it fails.
struct Asked {
    takes_page: bool,
    changes: bool,
    path_and_query: String,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let path = request.uri().path();
        let for_programs = FOR_PROGRAMS.iter().any(|start| path.starts_with(start));
        let is_known = request.extensions().get::<MatchedPath>().is_some();
        Self {
            takes_page: !for_programs && prefers_page(request.headers(), is_known),
            changes: is_unsafe(request.method()),
            path_and_query: request.uri().path_and_query().map_or("/", |uri| uri.as_str()).to_owned(),
        }
    }

    async fn explain(&self, response: Response) -> Response {
        let signed_out = response.status() == StatusCode::UNAUTHORIZED;
        if signed_out && !self.changes {
            let back = form_urlencoded::byte_serialize(self.path_and_query.as_bytes()).collect::<String>();
            return Redirect::to(&format!("/sign-in?return_to={back}")).into_response();
        }
        let (refusal, response) = Refusal::of(response).await;
        let page = ProblemPage { refusal: &refusal, signed_out };
        let Ok(mut page) = show::page_with(refusal.status(), &page) else {
            return refusal.status().into_response();
        };
        // What the problem's answer says of limits, the request and the session holds for the page too.
        let mut headers = response.into_parts().0.headers;
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_LENGTH);
        page.headers_mut().extend(headers);
        page
    }
}

/// Browsers say that they take pages. Who says nothing gets one where there is one.
fn prefers_page(headers: &HeaderMap, is_known: bool) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    accepted.contains("text/html") || (is_known && accepted.trim() == "*/*")
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    refusal: &'a Refusal,
    signed_out: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes_page(uri: &str, accept: Option<&str>) -> bool {
        let request = Request::get(uri);
        let request = accept.into_iter().fold(request, |request, kinds| request.header(ACCEPT, kinds));
        Asked::of(&request.body(axum::body::Body::empty()).unwrap()).takes_page
    }

    #[test]
    fn browsers_get_pages_and_programs_get_problems() {
        let browser = Some("text/html,application/xhtml+xml,*/*;q=0.8");
        assert!(takes_page("/tasks", browser));
        assert!(takes_page("/nowhere", browser));
        assert!(!takes_page("/nowhere", None));
        assert!(!takes_page("/api/v1/tasks", browser));
        assert!(!takes_page("/readyz", browser));
        assert!(!takes_page("/sign-in/back-channel-logout", browser));
        assert!(takes_page("/sign-in/callback?state=a", browser));
        assert!(!takes_page("/tasks", Some("application/json")));
    }
}
