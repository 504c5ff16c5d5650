//! `POST /attempts/{state}/{provider}`

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, REFERRER_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Redirect, Response};
use foundation::extract::Path;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;

use super::manner::Wish;
use crate::attempt::{Attempt, Purpose};
use crate::pages::{self, Failure};
use crate::request::Prompt;
use crate::secret;
use crate::state::Broker;
use crate::throttle::Tried;

/// Sends somebody who has chosen a login provider there.
pub async fn start(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    Path((state, provider)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Another site must not choose with whom this browser signs in.
    broker.csrf.check_origin(&headers)?;
    let source = broker.upstreams.named(&provider).ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    let Some(attempt) = Attempt::of(&headers, &state, &broker.sealing, broker.clock.now()) else {
        return pages::failed(&broker, None, Failure::Expired);
    };
    if let Err(wait) = broker.throttle.count_in(Tried::Begin, context.address, broker.clock.now()) {
        return pages::too_many(&broker, wait);
    }
    let fresh = || secret::new(&*broker.randomness);
    // What one provider was asked is never the answer of another.
    let attempt = Attempt { provider: Some(provider), nonce: fresh(), verifier: fresh(), ..attempt };
    match source.invitation(&attempt, &wish(&attempt.purpose)).await {
        Ok(url) => {
            let cookie = attempt.set_cookie(&broker.sealing, &*broker.randomness);
            let cookie = cookie.ok_or_else(|| Problem::new(&codes::REQUEST_REFUSED))?;
            let mut response = sent(url.as_str());
            response.headers_mut().insert(SET_COOKIE, cookie);
            Ok(response)
        }
        Err(error) => {
            error.log(&source.provider.name);
            pages::failed(&broker, Some(&attempt), error.failure())
        }
    }
}

/// How somebody is to be asked, by what the sign-in is for.
fn wish(purpose: &Purpose) -> Wish<'_> {
    match purpose {
        Purpose::Authorize(request) => Wish {
            hint: request.login_hint.as_deref(),
            prompt: request.prompt,
            max_age: request.max_age,
            keeps_tokens: false,
        },
        Purpose::Account => Wish::default(),
        // Whoever is signed in there already may not be whom the person means.
        Purpose::Link { .. } => Wish { prompt: Prompt::SelectAccount, ..Wish::default() },
    }
}

/// Sends a browser on; nothing on the way keeps this answer, and where it leads is not told where it came from.
pub(super) fn sent(to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
