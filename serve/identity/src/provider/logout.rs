//! Signing out, asked for by a client (OpenID Connect RP-Initiated Logout 1.0). Whoever proves by an ID token of the session
//! that it is meant ends it; anybody else makes the person ask themselves.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use foundation::audit::Origin;
use foundation::auth::csrf;
use foundation::extract::FormBody;
use foundation::problem::{Problem, codes as common};
use foundation::request::RequestContext;
use foundation::write::idempotency::Answer;
use url::{Url, form_urlencoded};

use super::authorize::lead_on;
use super::parameters::Parameters;
use super::refusal::NO_STORE;
use super::{codes, hint};
use crate::pages::texts::{self, Texts};
use crate::pages::{self, show};
use crate::session::{self, BrowserSession, Ending};
use crate::settings::Client;
use crate::state::Broker;

/// What is asked for, and was found to be in order.
struct Asked<'a> {
    client: Option<&'a Client>,
    hint: Option<hint::Hint>,
    /// Where people go afterwards, and what goes with them.
    redirect_uri: Option<&'a str>,
    state: Option<&'a str>,
}

impl<'a> Asked<'a> {
    async fn read(
        broker: &'a Broker,
        context: &RequestContext,
        parameters: &'a Parameters,
    ) -> Result<Self, Problem> {
        let refused = |detail: &str| Problem::new(&codes::LOGOUT_REFUSED).detail(detail);
        if parameters.repeated().is_some() {
            return Err(refused("A parameter is there more than once."));
        }
        let hint = match parameters.get("id_token_hint") {
            Some(token) => {
                let hint = hint::read(broker, context, token).await?;
                Some(hint.ok_or_else(|| refused("The id_token_hint is none of this issuer's."))?)
            }
            None => None,
        };
        let by_hint = hint.as_ref().map(|hint| hint.client_id.as_str());
        let id = match (parameters.get("client_id"), by_hint) {
            (Some(id), Some(by_hint)) if id != by_hint => {
                return Err(refused("The id_token_hint is another application's."));
            }
            (id, by_hint) => id.or(by_hint),
        };
        let client = id.and_then(|id| broker.settings.client(id));
        let redirect_uri = match parameters.get("post_logout_redirect_uri") {
            Some(uri) => {
                let known = client.into_iter().flat_map(|client| &client.post_logout_redirect_uris);
                let uri = known.into_iter().find(|known| *known == uri);
                let why =
                    "Where people should go afterwards is not registered for an application that is named.";
                Some(uri.ok_or_else(|| refused(why))?.as_str())
            }
            None => None,
        };
        Ok(Self { client, hint, redirect_uri, state: parameters.get("state") })
    }

    /// Whether the hint is of this session and no other.
    fn proves(&self, session: &BrowserSession) -> bool {
        let hint = self.hint.as_ref();
        hint.is_some_and(|hint| hint.subject == session.account && hint.session == Some(session.id))
    }
}

#[derive(Template)]
#[template(path = "logout.html")]
struct Question<'a> {
    texts: &'static Texts,
    client: Option<&'a str>,
    csrf_token: String,
    fields: Vec<(&'static str, &'a str)>,
}

/// `GET /logout`.
///
/// # Errors
/// What is not in order, or the problem of the database.
pub async fn asked(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes()).map_err(unreadable)?;
    let asked = Asked::read(&broker, &context, &parameters).await?;
    match session::current(&broker, &headers).await? {
        Some(session) if asked.proves(&session) => {
            end(&broker, &context, &session).await?;
            Ok(finish(&broker, &asked))
        }
        Some(_) => question(&broker, &headers, &asked),
        None => Ok(finish(&broker, &asked)),
    }
}

/// `POST /logout`: a person's answer to the question, or a client's question. The client's leads on to `GET`, because browsers
/// leave the session's cookie out of what a page of another site posts.
///
/// # Errors
/// What is not in order, or the problem of the database.
pub async fn posted(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    headers: HeaderMap,
    form: FormBody,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(form.bytes()).map_err(unreadable)?;
    if parameters.get(csrf::FIELD).is_none() {
        return Ok(lead_on("/logout", &parameters));
    }
    broker.csrf.check_origin(&headers)?;
    let asked = Asked::read(&broker, &context, &parameters).await?;
    if let Some(session) = session::current(&broker, &headers).await? {
        let key = session::key(&headers).ok_or_else(|| Problem::new(&common::CROSS_SITE))?;
        broker.csrf.check_token(&key, &headers, form.bytes())?;
        end(&broker, &context, &session).await?;
    }
    Ok(finish(&broker, &asked))
}

fn unreadable(error: super::parameters::ParametersError) -> Problem {
    Problem::new(&codes::LOGOUT_REFUSED).detail(format!("The request cannot be read: {error}."))
}

async fn end(broker: &Broker, context: &RequestContext, session: &BrowserSession) -> Result<(), Problem> {
    let origin =
        Origin { actor_kind: "person", actor_id: Some(session.account), ..Origin::of(None, context) };
    let mut unit = broker.writes.begin_without_key(&origin).await?;
    let ending = Ending { one: Some(session.id), ..Ending::default() };
    session::end(&mut unit, Some(&broker.settings), session.account, ending).await?;
    unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.map(drop)
}

/// Where people go who are signed out.
fn finish(broker: &Broker, asked: &Asked<'_>) -> Response {
    let mut response = match asked.redirect_uri.and_then(|uri| afterwards(uri, asked.state)) {
        Some(location) => {
            (StatusCode::SEE_OTHER, [(LOCATION, location), (CACHE_CONTROL, NO_STORE)]).into_response()
        }
        None => pages::signed_out(broker).unwrap_or_else(IntoResponse::into_response),
    };
    response.headers_mut().append(SET_COOKIE, session::clear_cookie());
    response
}

fn afterwards(uri: &str, state: Option<&str>) -> Option<HeaderValue> {
    let Some(state) = state else { return HeaderValue::try_from(uri).ok() };
    let between = if uri.contains('?') { '&' } else { '?' };
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
    HeaderValue::try_from(format!("{uri}{between}{query}")).ok()
}

/// Asks the person.
fn question(broker: &Broker, headers: &HeaderMap, asked: &Asked<'_>) -> Result<Response, Problem> {
    let key = session::key(headers).ok_or_else(|| Problem::new(&common::INTERNAL))?;
    let fields = [
        ("client_id", asked.client.map(|client| client.id.as_str())),
        ("post_logout_redirect_uri", asked.redirect_uri),
        ("state", asked.state),
    ];
    let page = Question {
        texts: texts::current(),
        client: asked.client.map(|client| client.name.as_str()),
        csrf_token: broker.csrf.token(&key),
        fields: fields.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect(),
    };
    let mut page = show::page(&page)?;
    page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy(asked.redirect_uri));
    Ok(page)
}

/// Browsers hold the policy also against where the form's answer leads on to.
fn policy(redirect_uri: Option<&str>) -> HeaderValue {
    let origin =
        redirect_uri.and_then(|uri| Url::parse(uri).ok()).map(|url| url.origin().ascii_serialization());
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' {}; base-uri 'none'; \
         frame-ancestors 'none'",
        origin.unwrap_or_default()
    );
    HeaderValue::try_from(policy)
        .unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_goes_along_and_the_rest_stays_as_registered() {
        let of = |uri, state| afterwards(uri, state).unwrap().to_str().unwrap().to_owned();
        assert_eq!(of("https://app.example/bye", None), "https://app.example/bye");
        assert_eq!(of("https://app.example/bye", Some("a b")), "https://app.example/bye?state=a+b");
        assert_eq!(of("https://app.example/bye?x=1", Some("s")), "https://app.example/bye?x=1&state=s");
    }

    #[test]
    fn the_form_may_lead_to_where_people_go_afterwards() {
        let policy = policy(Some("https://app.example/bye?x=1"));
        assert!(policy.to_str().unwrap().contains("form-action 'self' https://app.example;"));
    }
}
