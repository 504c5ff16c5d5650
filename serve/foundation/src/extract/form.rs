//! `Form<T>`: what a page's form sends.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::body::{content_type, is_utf8, limits, read, unsupported_type};
use super::query::from_pairs;
use crate::problem::{Place, Problem, codes};

const KIND: &str = "application/x-www-form-urlencoded";

/// A form's fields. Unknown ones are refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        FormBody::from_request(request, state).await?.parse(&[]).map(Self)
    }
}

/// A form that is kept as it came, for handlers that need both the form and its fields.
#[derive(Debug, Clone)]
pub struct FormBody(axum::body::Bytes);

impl<S: Sync> FromRequest<S> for FormBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let fits = content_type(&request).is_some_and(|kind| {
            let (essence, parameters) = kind.split_once(';').unwrap_or((&kind, ""));
            essence.trim() == KIND && is_utf8(parameters)
        });
        if !fits {
            return Err(unsupported_type(KIND));
        }
        let limits = limits(&request);
        read(request, limits).await.map(Self)
    }
}

impl FormBody {
    /// The form as it came.
    #[must_use]
    pub fn bytes(&self) -> &axum::body::Bytes {
        &self.0
    }

    /// The first field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let mut fields = form_urlencoded::parse(&self.0);
        fields.find_map(|(field, value)| (field == name).then(|| value.into_owned()))
    }

    /// Its fields, except those that are not the handler's.
    ///
    /// # Errors
    /// A problem that names the field.
    pub fn parse<T: DeserializeOwned>(&self, without: &[&str]) -> Result<T, Problem> {
        let text = std::str::from_utf8(&self.0)
            .map_err(|_| Problem::new(&codes::BODY_MALFORMED).detail("The form is not UTF-8."))?;
        let others = |pair: &&str| !without.contains(&pair.split('=').next().unwrap_or_default());
        let kept: Vec<&str> = text.split('&').filter(others).collect();
        let start = || Problem::new(&codes::VALIDATION_FAILED).detail("A field of the form is not valid.");
        from_pairs(&kept.join("&"), Place::Body, start)
    }
}
