//! From a request to its actor: by a bearer token, or by a session's cookie, or nobody.

use std::fmt::Debug;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::actor::{Actor, Person};
use super::authenticator::Authenticator;
use super::cookie;
use super::csrf::{self, Csrf};
use super::scope::Scopes;
use super::session::{self, SessionKey, Sessions};
use crate::audit::watch::{Asked, Owner, Watch};
use crate::problem::{Problem, codes};
use crate::telemetry::Line;

/// A form is read this far for its token.
const LONGEST_FORM: usize = 256 * 1024;

/// What the application knows of people: what a person's role in an organization allows now.
pub trait Roles: Send + Sync + Debug {
    /// The scopes; nothing if the person is no member (any more), or has no organization.
    fn scopes<'a>(
        &'a self,
        person: Uuid,
        organization: Option<Uuid>,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Scopes>, Problem>> + Send + 'a>>;
}

/// What finding out who asks needs.
#[derive(Debug)]
pub struct Authentication {
    /// Knows the tokens.
    pub tokens: Authenticator,
    /// Knows the sessions.
    pub sessions: Sessions,
    /// Knows what people may do.
    pub roles: Box<dyn Roles>,
    /// Guards what is done by a cookie.
    pub csrf: Csrf,
    /// The client's address, as the edge says it.
    pub address: fn(&Request) -> Option<IpAddr>,
    /// Takes note of what is refused, and of tokens in new places.
    pub watch: Arc<Watch>,
}

/// A credential that is not accepted.
#[derive(Debug)]
struct Refused {
    problem: Problem,
    /// Whose it is, where the audit log is to know that it was refused.
    owner: Option<Owner>,
}

impl<P: Into<Problem>> From<P> for Refused {
    fn from(problem: P) -> Self {
        Self { problem: problem.into(), owner: None }
    }
}

/// Puts the [`Actor`] into the request's extensions where there is one, and refuses credentials that are not good.
/// What needs an actor asks for one by its extractor.
pub async fn authenticate(
    State(authentication): State<Arc<Authentication>>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = Asked::of(&request);
    let actor = match authentication.actor(&mut request).await {
        Ok(actor) => actor,
        Err(refused) => return authentication.refuse(refused, asked.as_ref()),
    };
    let Some(actor) = actor else { return next.run(request).await };
    Line::say(|line| line.actor(&actor));
    request.extensions_mut().insert(actor.clone());
    let response = next.run(request).await;
    if let Some(asked) = asked {
        authentication.watch.answered(&actor, &asked, &response);
    }
    response
}

impl Authentication {
    fn refuse(&self, refused: Refused, asked: Option<&Asked>) -> Response {
        let Refused { problem, owner } = refused;
        if let Some(owner) = owner {
            if let Owner::Agent(agent) = &owner {
                Line::say(|line| line.actor(&Actor::Agent(agent.clone())));
            }
            if let Some(asked) = asked {
                self.watch.refused(owner, asked, &problem);
            }
        }
        problem.into_response()
    }

    async fn actor(&self, request: &mut Request) -> Result<Option<Actor>, Refused> {
        match credential(request.headers())? {
            Credential::None => Ok(None),
            Credential::Bearer(token) => {
                let address = (self.address)(request).ok_or_else(|| {
                    tracing::error!("a token cannot be checked: no layer says from where the request comes");
                    Problem::new(&codes::INTERNAL)
                })?;
                match self.tokens.authenticate(&token, address).await {
                    Ok(agent) => Ok(Some(Actor::Agent(agent))),
                    Err(refusal) => {
                        let owner = refusal.agent.map(Owner::Agent);
                        Err(Refused { problem: refusal.problem, owner })
                    }
                }
            }
            Credential::Session(key) => self.person(key, request).await,
        }
    }

    async fn person(&self, key: SessionKey, request: &mut Request) -> Result<Option<Actor>, Refused> {
        // Whoever writes for another site is refused before anything is asked.
        let cross_site = |problem| Refused { problem, owner: Some(Owner::Session(key)) };
        let changes = csrf::is_unsafe(request.method());
        if changes {
            self.csrf.check_origin(request.headers()).map_err(cross_site)?;
        }
        let Some(session) = self.sessions.find(&key).await? else { return Ok(None) };
        if changes && csrf::needs_token(request.headers()) {
            self.check_form(&key, request).await.map_err(cross_site)?;
        }
        let scopes = self.roles.scopes(session.person, session.organization).await?;
        let organization = session.organization.filter(|_| scopes.is_some());
        let scopes = scopes.unwrap_or_default();
        let (id, session_id) = (session.person, session.id);
        Ok(Some(Actor::Person(Person { id, organization, scopes, session: key, session_id })))
    }

    /// Reads a form for its token and gives it back unread. Anything else has the token in its header.
    async fn check_form(&self, key: &SessionKey, request: &mut Request) -> Result<(), Problem> {
        if request.headers().contains_key(csrf::HEADER) || !csrf::is_form(request.headers()) {
            return self.csrf.check_token(key, request.headers(), b"");
        }
        let body = to_bytes(std::mem::take(request.body_mut()), LONGEST_FORM).await.map_err(|error| {
            tracing::info!(%error, "a form could not be read");
            Problem::new(&codes::CROSS_SITE).detail("The form is too long to find its token, or was cut off.")
        })?;
        self.csrf.check_token(key, request.headers(), &body)?;
        *request.body_mut() = Body::from(body);
        Ok(())
    }
}

/// With what somebody shows who they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    None,
    Bearer(String),
    Session(SessionKey),
}

/// The one credential of a request. A cookie that has not the form of one is none: browsers keep old ones.
pub(crate) fn credential(headers: &HeaderMap) -> Result<Credential, Problem> {
    let ambiguous = || Err(Problem::new(&codes::AMBIGUOUS_CREDENTIALS));
    let mut sessions = cookie::values(headers, session::COOKIE);
    let session = (sessions.next(), sessions.next());
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    match (lines.next(), lines.next(), session) {
        (None, _, (None, _)) => Ok(Credential::None),
        (None, _, (Some(cookie), None)) => {
            Ok(SessionKey::of_cookie(cookie).map_or(Credential::None, Credential::Session))
        }
        (Some(line), None, (None, _)) => {
            bearer(line).map(|token| Credential::Bearer(token.to_owned())).ok_or_else(|| {
                Problem::new(&codes::BAD_CREDENTIALS)
                    .detail("The Authorization header is not Bearer and a token.")
                    .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            })
        }
        _ => ambiguous(),
    }
}

fn bearer(line: &HeaderValue) -> Option<&str> {
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;
    use axum::http::header::COOKIE;

    fn of(pairs: &[(HeaderName, &str)]) -> Result<Credential, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        credential(&headers).map_err(|problem| problem.code().status)
    }

    #[test]
    fn one_credential_and_no_more() {
        let cookie = format!("a=b; {}={}; c", session::COOKIE, "A".repeat(43));
        assert_eq!(of(&[]), Ok(Credential::None));
        assert_eq!(of(&[(AUTHORIZATION, "bearer x")]), Ok(Credential::Bearer("x".to_owned())));
        assert!(matches!(of(&[(COOKIE, &cookie)]), Ok(Credential::Session(_))));
        assert_eq!(of(&[(COOKIE, "__Host-session=short")]), Ok(Credential::None));
        assert_eq!(of(&[(COOKIE, &cookie), (COOKIE, &cookie)]), Err(400));
        assert_eq!(of(&[(COOKIE, &cookie), (AUTHORIZATION, "Bearer x")]), Err(400));
        assert_eq!(of(&[(AUTHORIZATION, "Bearer x"), (AUTHORIZATION, "Bearer x")]), Err(400));
        for bad in ["", "Bearer", "Basic eDp5", "\u{e9} x"] {
            assert_eq!(of(&[(AUTHORIZATION, bad)]), Err(401), "{bad}");
        }
    }
}
