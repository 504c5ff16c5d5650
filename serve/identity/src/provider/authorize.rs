//! The authorization endpoint: a client sends a browser to find out who uses it.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use foundation::extract::FormBody;
use foundation::problem::Problem;
use foundation::request::RequestContext;
use time::OffsetDateTime;

use super::ask::{self, Asked, Refused};
use super::parameters::{Parameters, ParametersError};
use super::refusal::NO_STORE;
use super::{codes, complete, consent, hint, refuse};
use crate::attempt::{Attempt, Purpose};
use crate::pages;
use crate::request::{AuthorizationRequest, Prompt};
use crate::session::{self, BrowserSession};
use crate::state::Broker;
use crate::throttle::{self, Tried};

/// `GET /authorize`.
///
/// # Errors
/// What cannot go back to a client, or the problem of the database.
pub async fn asked(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes()).map_err(unreadable)?;
    answer(&broker, &context, &headers, &parameters).await
}

/// `POST /authorize`. Browsers leave the session's cookie out of what a page of another site posts, and not where that leads
/// on to: so it leads on to `GET`.
///
/// # Errors
/// What cannot go back to a client.
pub async fn posted(form: FormBody) -> Result<Response, Problem> {
    let parameters = Parameters::parse(form.bytes()).map_err(unreadable)?;
    Ok(lead_on("/authorize", &parameters))
}

/// Leads from a form to the same question in the address.
pub fn lead_on(path: &str, parameters: &Parameters) -> Response {
    match HeaderValue::try_from(format!("{path}?{}", parameters.query())) {
        Ok(location) => {
            let headers = [(axum::http::header::LOCATION, location), (CACHE_CONTROL, NO_STORE)];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        // What is encoded is ASCII.
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn unreadable(error: ParametersError) -> Problem {
    Problem::new(&codes::AUTHORIZATION_REFUSED).detail(format!("The request cannot be read: {error}."))
}

async fn answer(
    broker: &Broker,
    context: &RequestContext,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<Response, Problem> {
    let now = broker.clock.now();
    let Asked { mut request, hint } = match ask::read(&broker.settings, parameters) {
        Ok(asked) => asked,
        Err(Refused::Here(problem)) => {
            broker.throttle.count_in(Tried::Request, context.address, now).map_err(throttle::problem)?;
            broker.provider.counts.refused("authorization");
            return Err(problem);
        }
        Err(Refused::Back { request, error, description }) => {
            return Ok(refuse(broker, &request, error, &description));
        }
    };
    if let Some(token) = hint {
        let Some(hint) = hint::read(broker, context, &token).await? else {
            let description = "The id_token_hint is none of this issuer's.";
            return Ok(refuse(broker, &request, "invalid_request", description));
        };
        if request.subject.is_some_and(|subject| subject != hint.subject) {
            let description = "The id_token_hint and the parameter claims mean different people.";
            return Ok(refuse(broker, &request, "invalid_request", description));
        }
        request.subject = Some(hint.subject);
    }
    let session = session::current(broker, headers).await?;
    match decide(&request, session.as_ref(), now) {
        Next::Complete(session) if is_agreed(broker, session, &request).await? => {
            complete(broker, context, session, &request).await
        }
        Next::Complete(_) if request.prompt == Prompt::None => {
            let description = "Somebody has to agree, who must not be asked to.";
            Ok(refuse(broker, &request, "consent_required", description))
        }
        Next::Refuse => Ok(refuse(
            broker,
            &request,
            "login_required",
            "Somebody has to sign in, who must not be asked to.",
        )),
        Next::SignIn | Next::Complete(_) => {
            let purpose = Purpose::Authorize(Box::new(request));
            let attempt = Attempt::begin(purpose, &*broker.clock, &*broker.randomness);
            match (attempt.set_cookie(&broker.sealing, &*broker.randomness), &attempt.purpose) {
                (None, Purpose::Authorize(request)) => {
                    let description = "The request is longer than a browser keeps; send shorter parameters.";
                    Ok(refuse(broker, request, "invalid_request", description))
                }
                _ => pages::sign_in(broker, &attempt, None),
            }
        }
    }
}

/// Whether nobody has to read first what the client may do.
async fn is_agreed(
    broker: &Broker,
    session: &BrowserSession,
    request: &AuthorizationRequest,
) -> Result<bool, Problem> {
    Ok(!consent::is_needed(request) || consent::is_given(broker, session.account, request).await?)
}

/// What happens with a request that is in order.
#[derive(Debug, PartialEq, Eq)]
enum Next<'a> {
    /// The session answers it.
    Complete(&'a BrowserSession),
    /// Somebody signs in first.
    SignIn,
    /// Somebody would have to sign in and must not be asked to.
    Refuse,
}

fn decide<'a>(
    request: &AuthorizationRequest,
    session: Option<&'a BrowserSession>,
    now: OffsetDateTime,
) -> Next<'a> {
    let suffices = |session: &&BrowserSession| {
        let is_recent = request.max_age.is_none_or(|seconds| {
            let age = (now - session.authenticated_at).whole_seconds().max(0).unsigned_abs();
            // Zero means now, and not in the same second.
            seconds > 0 && age <= seconds
        });
        is_recent && request.subject.is_none_or(|subject| subject == session.account)
    };
    match (request.prompt, session.filter(suffices)) {
        (Prompt::Needed | Prompt::None, Some(session)) => Next::Complete(session),
        (Prompt::None, None) => Next::Refuse,
        (Prompt::Needed, None) | (Prompt::Login | Prompt::SelectAccount, _) => Next::SignIn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use uuid::Uuid;

    const SIGNED_IN: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn request(prompt: Prompt, max_age: Option<u64>, subject: Option<u128>) -> AuthorizationRequest {
        AuthorizationRequest {
            prompt,
            max_age,
            subject: subject.map(Uuid::from_u128),
            ..AuthorizationRequest::new("app", "https://app.example/")
        }
    }

    fn session() -> BrowserSession {
        BrowserSession {
            id: Uuid::from_u128(9),
            account: Uuid::from_u128(1),
            provider: "google".to_owned(),
            authenticated_at: SIGNED_IN,
        }
    }

    #[test]
    fn whoever_is_signed_in_is_asked_no_more_than_needed() {
        let session = session();
        let now = SIGNED_IN + Duration::from_secs(60);
        let next = |prompt, max_age, subject| decide(&request(prompt, max_age, subject), Some(&session), now);
        for prompt in [Prompt::Needed, Prompt::None] {
            let asks = if prompt == Prompt::None { Next::Refuse } else { Next::SignIn };
            assert_eq!(next(prompt, None, None), Next::Complete(&session));
            assert_eq!(next(prompt, Some(60), Some(1)), Next::Complete(&session));
            assert_eq!(next(prompt, Some(59), None), asks);
            assert_eq!(next(prompt, Some(0), None), asks);
            assert_eq!(next(prompt, None, Some(2)), asks, "somebody else is meant");
        }
        for prompt in [Prompt::Login, Prompt::SelectAccount] {
            assert_eq!(next(prompt, None, None), Next::SignIn);
        }
        assert_eq!(decide(&request(Prompt::None, Some(0), None), Some(&session), SIGNED_IN), Next::Refuse);
    }

    #[test]
    fn whoever_is_not_signed_in_signs_in() {
        let next = |prompt| decide(&request(prompt, None, None), None, SIGNED_IN);
        assert_eq!(next(Prompt::Needed), Next::SignIn);
        assert_eq!(next(Prompt::Login), Next::SignIn);
        assert_eq!(next(Prompt::None), Next::Refuse);
    }
}
