//! Who looks at a page of the account, and the forms that are sent from it.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use foundation::audit::Origin;
use foundation::auth::csrf;
use foundation::auth::session::SessionKey;
use foundation::extract::FormBody;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::write::Unit;
use serde::de::DeserializeOwned;

use crate::accounts::is_recent;
use crate::session::{self, BrowserSession};
use crate::state::Broker;

/// Where somebody signs in again, to go on with what needs it.
const AGAIN: &str = "/sign-in?again=true";

/// Somebody who is signed in.
#[derive(Debug)]
pub struct Visitor {
    /// In which browser.
    pub session: BrowserSession,
    /// In which request.
    pub context: RequestContext,
    /// For the forms of the page.
    pub csrf_token: String,
    key: SessionKey,
}

/// Whoever asks for a page of the account without being signed in goes there to do it.
#[derive(Debug)]
pub enum Away {
    /// To sign in.
    SignIn,
    /// It failed otherwise.
    Failed(Problem),
}

impl From<Problem> for Away {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

impl IntoResponse for Away {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn => Redirect::to("/sign-in").into_response(),
            Self::Failed(problem) => problem.into_response(),
        }
    }
}

impl FromRequestParts<Arc<Broker>> for Visitor {
    type Rejection = Away;

    async fn from_request_parts(parts: &mut Parts, broker: &Arc<Broker>) -> Result<Self, Away> {
        let context = RequestContext::from_request_parts(parts, broker).await?;
        Self::of(broker, context, &parts.headers).await?.ok_or(Away::SignIn)
    }
}

impl Visitor {
    async fn of(
        broker: &Broker,
        context: RequestContext,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, Problem> {
        let Some(session) = session::current(broker, headers).await? else { return Ok(None) };
        let key = session::key(headers).ok_or_else(|| Problem::new(&codes::UNAUTHENTICATED))?;
        Ok(Some(Self { csrf_token: broker.csrf.token(&key), session, context, key }))
    }

    /// Begins a write in the person's name.
    ///
    /// # Errors
    /// The problem of the database.
    pub async fn begin(&self, broker: &Broker) -> Result<Box<Unit>, Problem> {
        let origin = Origin {
            actor_kind: "person",
            actor_id: Some(self.session.account),
            ..Origin::of(None, &self.context)
        };
        broker.writes.begin_without_key(&origin).await
    }

    /// What to answer where the person proved too long ago who it is: signing in again comes first.
    #[must_use]
    pub fn ask_again(&self, broker: &Broker) -> Option<Response> {
        let is_recent = is_recent(&self.session, broker.clock.now());
        (!is_recent).then(|| Redirect::to(AGAIN).into_response())
    }
}

/// A form of one of the account's pages, which this session's person has sent from there.
#[derive(Debug)]
pub struct Sent<T> {
    /// Who.
    pub visitor: Visitor,
    /// The form's own fields.
    pub fields: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<Broker>> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, broker: &Arc<Broker>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        broker.csrf.check_origin(&parts.headers)?;
        let context = RequestContext::from_request_parts(&mut parts, broker).await?;
        let visitor = Visitor::of(broker, context, &parts.headers).await?;
        let visitor = visitor.ok_or_else(|| Problem::new(&codes::UNAUTHENTICATED))?;
        let headers = parts.headers.clone();
        let form = FormBody::from_request(Request::from_parts(parts, body), broker).await?;
        broker.csrf.check_token(&visitor.key, &headers, form.bytes())?;
        Ok(Self { visitor, fields: form.parse(&[csrf::FIELD])? })
    }
}
