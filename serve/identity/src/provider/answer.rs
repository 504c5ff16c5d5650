//! The answer to a client's request: its browser goes back, with a code or an error, and with this issuer's name (RFC 9207).

use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use foundation::audit::{Event, Origin};
use foundation::problem::Problem;
use foundation::request::RequestContext;
use foundation::write::idempotency::Answer;
use url::form_urlencoded;

use super::refusal::NO_STORE;
use crate::request::AuthorizationRequest;
use crate::secret;
use crate::session::BrowserSession;
use crate::state::Broker;

/// A code that is not redeemed by then is none.
const LASTS: Duration = Duration::from_secs(60);

// Grant and code come to be together.
const INSERT: &str = "WITH granted AS (INSERT INTO grants (id, client_id, account_id, session_id, scope, authenticated_at, \
     created_at, provider) VALUES ($1, $2, $3, $4, $5, $6, $7, $14)) \
     INSERT INTO codes (hash, grant_id, redirect_uri, nonce, challenge, claims, expires_at) \
     VALUES ($8, $1, $9, $10, $11, $12, $13)";

/// Answers a client's request in the name of whoever is signed in: sends the browser back with a code. Where the request was
/// about somebody else, with an error.
///
/// # Errors
/// The problem of the database.
pub async fn complete(
    broker: &Broker,
    context: &RequestContext,
    session: &BrowserSession,
    request: &AuthorizationRequest,
) -> Result<Response, Problem> {
    if request.subject.is_some_and(|subject| subject != session.account) {
        return Ok(refuse(
            broker,
            request,
            "login_required",
            "Somebody else has signed in than who was meant.",
        ));
    }
    let origin =
        Origin { actor_kind: "person", actor_id: Some(session.account), ..Origin::of(None, context) };
    let mut unit = broker.writes.begin_without_key(&origin).await?;
    let (id, now, code) = (unit.new_id(), unit.now(), secret::new(unit.randomness()));
    let claims = request.claims.as_ref().and_then(|claims| serde_json::to_value(claims).ok());
    let values = vec![
        Box::new(id) as _,
        Box::new(request.client_id.clone()) as _,
        Box::new(session.account) as _,
        Box::new(session.id) as _,
        Box::new(request.scope.join(" ")) as _,
        Box::new(session.authenticated_at) as _,
        Box::new(now) as _,
        Box::new(secret::hash(&code).to_vec()) as _,
        Box::new(request.redirect_uri.clone()) as _,
        Box::new(request.nonce.clone()) as _,
        Box::new(request.challenge.clone()) as _,
        Box::new(claims) as _,
        Box::new(now + LASTS) as _,
        Box::new(session.provider.clone()) as _,
    ];
    unit.transaction.later(INSERT, values);
    unit.audit(Event::new("grant.begin", "grant").of(id).changed("client", (), request.client_id.as_str()));
    unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await?;
    Ok(back(&broker.issuer, request, &[("code", &code)]))
}

/// Answers a client's request with an error of OAuth 2.0, such as `access_denied`: sends the browser back.
pub fn refuse(broker: &Broker, request: &AuthorizationRequest, error: &str, description: &str) -> Response {
    back(&broker.issuer, request, &[("error", error), ("error_description", description)])
}

fn back(issuer: &str, request: &AuthorizationRequest, pairs: &[(&str, &str)]) -> Response {
    let location = HeaderValue::try_from(location(issuer, request, pairs));
    // It was compared with a URI that is registered, which is visible ASCII.
    let location = location.unwrap_or(HeaderValue::from_static("/"));
    let headers = [
        (LOCATION, location),
        (CACHE_CONTROL, NO_STORE),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn location(issuer: &str, request: &AuthorizationRequest, pairs: &[(&str, &str)]) -> String {
    let uri = &request.redirect_uri;
    // What the client has registered stays as it is, letter for letter.
    let between = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    if let Some(state) = &request.state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", issuer);
    format!("{uri}{between}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_added_to_what_is_registered() {
        let request = |redirect_uri: &str, state: Option<&str>| AuthorizationRequest {
            state: state.map(str::to_owned),
            ..AuthorizationRequest::new("app", redirect_uri)
        };
        let of = |uri, state| location("https://id.example", &request(uri, state), &[("code", "c")]);
        assert_eq!(
            of("https://app.example/callback", Some("a&b=c\r\n")),
            "https://app.example/callback?code=c&state=a%26b%3Dc%0D%0A&iss=https%3A%2F%2Fid.example"
        );
        assert_eq!(
            of("https://app.example/cb?tenant=1", None),
            "https://app.example/cb?tenant=1&code=c&iss=https%3A%2F%2Fid.example"
        );
        assert_eq!(
            of("http://127.0.0.1:9/?", None),
            "http://127.0.0.1:9/?code=c&iss=https%3A%2F%2Fid.example"
        );
    }
}
