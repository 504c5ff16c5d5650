//! `Form<T>`: what a page's form sends.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::body::{content_type, is_utf8, limits, read, unsupported_type};
use super::query::from_pairs;
use crate::problem::{Place, Problem, codes};

const KIND: &str = "application/x-www-form-urlencoded";

/// A form's fields. Unknown ones are refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Form<T> {
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
        let body = read(request, limits).await?;
        let text = std::str::from_utf8(&body)
            .map_err(|_| Problem::new(&codes::BODY_MALFORMED).detail("The form is not UTF-8."))?;
        let start = || Problem::new(&codes::VALIDATION_FAILED).detail("A field of the form is not valid.");
        from_pairs(text, Place::Body, start).map(Self)
    }
}
