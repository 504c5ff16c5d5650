//! `GET /callback/{provider}`

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use foundation::audit::{Event, Origin, Outcome};
use foundation::extract::Path;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;

use super::returned::Returned;
use super::source::Source;
use crate::accounts;
use crate::attempt::Attempt;
use crate::pages::{self, Failure};
use crate::state::Broker;
use crate::throttle::Tried;

/// What the audit log calls this.
const ACTION: &str = "session.sign-in";

/// Lets in whom a login provider has sent back.
pub async fn callback(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    Path(provider): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let returned = Returned::read(uri.query().unwrap_or_default().as_bytes(), false);
    let source = broker.upstreams.named(&provider).ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    // Whoever answers by a form is not believed otherwise.
    if source.manner.answers_by_form() {
        return pages::failed(&broker, None, Failure::Expired);
    }
    finish(&broker, &context, &provider, &headers, returned).await
}

/// Lets in whoever has come back from a login provider with this, if it was this browser that was sent there.
pub(super) async fn finish(
    broker: &Broker,
    context: &RequestContext,
    provider: &str,
    headers: &HeaderMap,
    returned: Option<Returned>,
) -> Result<Response, Problem> {
    let source = broker.upstreams.named(provider).ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    let expired = || pages::failed(broker, None, Failure::Expired);
    let Some(returned) = returned else { return expired() };
    let state = returned.state.as_deref().unwrap_or_default();
    // Without an attempt of this browser nothing was begun, and so nothing is denied: somebody else's answer is nobody's.
    let Some(attempt) = Attempt::of(headers, state, &broker.sealing, broker.clock.now()) else {
        return expired();
    };
    if let Err(wait) = broker.throttle.check(Tried::Return, context.address, broker.clock.now()) {
        return pages::too_many(broker, wait);
    }
    match come_back(broker, context, source, headers, (&attempt, &returned)).await {
        // The code is used up: whoever asks once more for the same begins anew, which needs nothing that does not answer.
        Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
            tracing::warn!(?problem, provider, "somebody who has come back could not be let in");
            pages::failed(broker, Some(&attempt), Failure::Unavailable)
        }
        outcome => outcome,
    }
}

async fn come_back(
    broker: &Broker,
    context: &RequestContext,
    source: &Source,
    headers: &HeaderMap,
    (attempt, returned): (&Attempt, &Returned),
) -> Result<Response, Problem> {
    let provider = source.provider.name.as_str();
    match source.identify(attempt, returned).await {
        Ok(verified) => {
            tracing::info!(provider, "somebody has come back from a login provider");
            let ended = attempt.clear_cookie();
            let mut response = accounts::arrive(broker, context, headers, attempt.clone(), verified).await?;
            // It was for one use, unless the answer goes on with it.
            if !keeps(&response, ended.as_bytes()) {
                response.headers_mut().append(SET_COOKIE, ended);
            }
            Ok(response)
        }
        Err(error) => {
            error.log(provider);
            if error.is_suspicious() {
                broker.throttle.failed(Tried::Return, context.address, broker.clock.now());
            }
            if let Some(reason) = error.denial() {
                note_denied(broker, context, provider, reason).await?;
            }
            pages::failed(broker, Some(attempt), error.failure())
        }
    }
}

/// Whether an answer sets the cookie that `ended` would end.
fn keeps(response: &Response, ended: &[u8]) -> bool {
    let name = |cookie: &[u8]| cookie.split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
    response.headers().get_all(SET_COOKIE).iter().any(|cookie| name(cookie.as_bytes()) == name(ended))
}

/// Writes down that somebody was refused, and why: `reason` is a stable name, nothing that anybody has sent.
pub(super) async fn note_denied(
    broker: &Broker,
    context: &RequestContext,
    provider: &str,
    reason: &'static str,
) -> Result<(), Problem> {
    let event = Event::new(ACTION, "session").outcome(Outcome::Denied);
    let event = event.changed("provider", (), provider).changed("reason", (), reason);
    broker.writes.record(&Origin::of(None, context), event).await.map(drop)
}
