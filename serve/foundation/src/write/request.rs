//! From an HTTP request to a write: who asks, which key, which body, and one call that does it.

use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::response::Response;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::idempotency::{Answer, Key};
use super::{Ask, Begun, Unit, Writes, key_missing};
use crate::audit::Origin;
use crate::auth::actor::Actor;
use crate::auth::csrf;
use crate::extract::{FormBody, JsonBody};
use crate::problem::{Problem, codes};
use crate::request::RequestContext;

/// A write as it came: the extractor of every handler that changes something. Its body is read within the route's limits.
#[derive(Debug, Clone)]
pub struct WriteRequest {
    context: RequestContext,
    route: String,
    key: Option<Key>,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    Json(JsonBody),
    Form(FormBody),
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Json(body) => body.bytes(),
            Self::Form(form) => form.bytes(),
        }
    }
}

impl<S: Sync> FromRequest<S> for WriteRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let context = RequestContext::from_request_parts(&mut parts, state).await?;
        let key = Key::read(&parts.headers)?;
        let route = format!("{} {}", parts.method, parts.uri.path());
        let body = JsonBody::from_request(Request::from_parts(parts, body), state).await?;
        Ok(Self { context, route, key, body: Body::Json(body) })
    }
}

/// The field of a form that carries the key. The page that shows the form fills it in, so that sending it twice does
/// what it says once.
pub const KEY_FIELD: &str = "idempotency_key";

/// A write that a page's form asks for: its key and the guard against other sites' forms come as fields.
#[derive(Debug, Clone)]
pub struct FormRequest<T> {
    /// The write, for [`Writes::perform`].
    pub write: WriteRequest,
    /// The form's own fields.
    pub fields: T,
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for FormRequest<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let context = RequestContext::from_request_parts(&mut parts, state).await?;
        let route = format!("{} {}", parts.method, parts.uri.path());
        let form = FormBody::from_request(Request::from_parts(parts, body), state).await?;
        let key = form.field(KEY_FIELD).ok_or_else(key_missing)?;
        let key = Key::of_text(&key)?;
        let fields = form.parse(&[KEY_FIELD, csrf::FIELD])?;
        Ok(Self { write: WriteRequest { context, route, key: Some(key), body: Body::Form(form) }, fields })
    }
}

impl WriteRequest {
    /// The body, which is JSON of this type.
    ///
    /// # Errors
    /// A problem of the body or of its content type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        match &self.body {
            Body::Json(body) => body.parse(),
            Body::Form(_) => Err(Problem::new(&codes::CONTENT_TYPE_UNSUPPORTED)),
        }
    }

    /// In which request it came.
    #[must_use]
    pub fn context(&self) -> &RequestContext {
        &self.context
    }

    /// Refuses a write without a key, for routes that want one.
    ///
    /// # Errors
    /// A problem `idempotency-key-missing`.
    pub fn require_key(&self) -> Result<(), Problem> {
        self.key.as_ref().map(drop).ok_or_else(key_missing)
    }
}

/// Where a write happens.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// In the organization in which the actor works, if any. The write's key is good there alone.
    Own,
    /// In another one: one that comes to be by the effect, or that the actor joins by it. Nothing else has asked whether the
    /// actor may, so the effect does. The key is good wherever the actor works: by the effect, that may change.
    Other(Uuid),
}

impl Writes {
    /// Does `effect` in one transaction with its audit events and the answer for the request's key; where the key is
    /// known, answers as before and does nothing.
    ///
    /// # Errors
    /// The problem of the key, of the effect or of the database.
    pub async fn perform(
        &self,
        actor: &Actor,
        request: &WriteRequest,
        effect: impl AsyncFnOnce(&mut Unit) -> Result<Answer, Problem>,
    ) -> Result<Response, Problem> {
        self.perform_in(Place::Own, actor, request, effect).await
    }

    /// The same in another place than the organization in which the actor works.
    ///
    /// # Errors
    /// As [`Writes::perform`].
    pub async fn perform_in(
        &self,
        place: Place,
        actor: &Actor,
        request: &WriteRequest,
        effect: impl AsyncFnOnce(&mut Unit) -> Result<Answer, Problem>,
    ) -> Result<Response, Problem> {
        let (organization, works_in) = match place {
            Place::Own => (actor.organization(), actor.organization()),
            Place::Other(organization) => (Some(organization), None),
        };
        let origin = Origin { organization, ..Origin::of(Some(actor), &request.context) };
        let ask = Ask {
            origin: &origin,
            route: &request.route,
            payload: request.body.bytes(),
            works_in,
            key: request.key.as_ref(),
        };
        match self.begin(ask).await? {
            Begun::Answered(response) => Ok(response),
            Begun::New(mut unit) => {
                let outcome = effect(&mut unit).await;
                unit.end(outcome).await
            }
        }
    }
}
