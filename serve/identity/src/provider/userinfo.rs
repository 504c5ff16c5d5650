//! The UserInfo endpoint (OpenID Connect Core 1.0, section 5.3): what a client may know of somebody, for the access token.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use foundation::auth::csrf;
use foundation::extract::Bytes;
use foundation::problem::Problem;
use foundation::request::RequestContext;
use serde_json::{Map, json};

use super::bearer;
use super::claims::has_scope;
use super::parameters::Parameters;
use super::refusal::NO_STORE;
use crate::state::Broker;
use crate::throttle::{self, Pace, Tried};

/// Why there is no answer (RFC 6750, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// No token came.
    Missing,
    /// It came in no way or in several.
    Request,
    /// It is not good.
    Token,
    /// It is not for this.
    Scope,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, error, description) = match self {
            Self::Missing => (StatusCode::UNAUTHORIZED, "", ""),
            Self::Request => (StatusCode::BAD_REQUEST, "invalid_request", "Send one token, in one way."),
            Self::Token => (StatusCode::UNAUTHORIZED, "invalid_token", "The token is unknown or has ended."),
            Self::Scope => {
                (StatusCode::FORBIDDEN, "insufficient_scope", "The token is not for scope openid.")
            }
        };
        let challenge = match error {
            "" => r#"Bearer realm="userinfo""#.to_owned(),
            error => {
                format!(r#"Bearer realm="userinfo", error="{error}", error_description="{description}""#)
            }
        };
        let document = json!({ "error": error, "error_description": description });
        let mut response = (status, axum::Json(document)).into_response();
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// The token that came in the header or in a form; one in the query would be written down on its way.
fn presented(headers: &HeaderMap, form: Option<&Parameters>) -> Result<String, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let header = values.next();
    if values.next().is_some() {
        return Err(Refused::Request);
    }
    let header = match header.map(|value| value.to_str()) {
        None => None,
        Some(Ok(text)) => {
            let (scheme, token) = text.split_once(' ').ok_or(Refused::Request)?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err(Refused::Missing);
            }
            Some(token.trim().to_owned())
        }
        Some(Err(_)) => return Err(Refused::Request),
    };
    let field = form.and_then(|form| form.get("access_token"));
    if form.is_some_and(|form| form.is_repeated("access_token")) {
        return Err(Refused::Request);
    }
    match (header, field) {
        (Some(token), None) => Ok(token),
        (None, Some(token)) => Ok(token.to_owned()),
        (None, None) => Err(Refused::Missing),
        (Some(_), Some(_)) => Err(Refused::Request),
    }
}

/// `GET /userinfo`.
///
/// # Errors
/// The problem of the database.
pub async fn show(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(&broker, &context, presented(&headers, None)).await
}

/// `POST /userinfo`.
///
/// # Errors
/// The problem of the database.
pub async fn posted(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    headers: HeaderMap,
    Bytes(body): Bytes,
) -> Result<Response, Problem> {
    // The body of a request without a form is nobody's business.
    let form = if csrf::is_form(&headers) { Parameters::parse(&body).map(Some) } else { Ok(None) };
    let token = form.map_err(|_| Refused::Request).and_then(|form| presented(&headers, form.as_ref()));
    answer(&broker, &context, token).await
}

async fn answer(
    broker: &Broker,
    context: &RequestContext,
    token: Result<String, Refused>,
) -> Result<Response, Problem> {
    let token = match token {
        Ok(token) => token,
        Err(refused) => return Ok(refused.into_response()),
    };
    let Some(bearer) = bearer::find(broker, &token).await? else {
        let pace = broker.throttle.wrong(Tried::Bearer, context.address, broker.clock.now()).await;
        return Ok(match pace {
            Pace::Usual => Refused::Token.into_response(),
            Pace::Late(wait) | Pace::Crowded(wait) => {
                let headers = [(RETRY_AFTER, throttle::seconds(wait)), (CACHE_CONTROL, NO_STORE)];
                let document = json!({ "error": "temporarily_unavailable" });
                (StatusCode::TOO_MANY_REQUESTS, headers, axum::Json(document)).into_response()
            }
        });
    };
    if !has_scope(&bearer.scope, "openid") {
        return Ok(Refused::Scope.into_response());
    }
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), bearer.grant.account.to_string().into());
    let named = bearer.claims.map(|claims| claims.userinfo).unwrap_or_default();
    bearer.grant.person.say(&bearer.scope, &named, &mut claims);
    Ok(([(CACHE_CONTROL, NO_STORE)], axum::Json(claims)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: Option<&str>, form: Option<&str>) -> Result<String, Refused> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        }
        let form = form.map(|form| Parameters::parse(form.as_bytes()).unwrap());
        presented(&headers, form.as_ref())
    }

    #[test]
    fn a_token_comes_in_one_way() {
        assert_eq!(of(Some("Bearer t"), None).unwrap(), "t");
        assert_eq!(of(Some("bearer t"), Some("")).unwrap(), "t");
        assert_eq!(of(None, Some("access_token=t")).unwrap(), "t");
        assert_eq!(of(None, None), Err(Refused::Missing));
        assert_eq!(of(Some("Basic dDp0"), None), Err(Refused::Missing));
        assert_eq!(of(Some("Bearer"), None), Err(Refused::Request));
        assert_eq!(of(Some("Bearer t"), Some("access_token=t")), Err(Refused::Request));
        assert_eq!(of(None, Some("access_token=t&access_token=t")), Err(Refused::Request));
    }
}
