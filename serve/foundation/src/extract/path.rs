//! `Path<T>`: identifiers in the path. What cannot be one names nothing.

use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::place;
use crate::problem::{Place, Problem, codes};

/// The parameters of the path. What is not of their form is 404: nothing has that name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // No identifier has the character, and PostgreSQL does not take it.
        if parts.uri.path().contains("%00") {
            return Err(nothing().error_in(Place::Path, "", "nul-character", "Remove the character U+0000."));
        }
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => Err(explain(error.into_kind())),
            Err(error) => {
                tracing::error!(%error, "a handler asks for parameters that its path does not have");
                Err(Problem::new(&codes::INTERNAL))
            }
        }
    }
}

fn nothing() -> Problem {
    Problem::new(&codes::NOT_FOUND).detail("Nothing has this name: a part of the path is not of its form.")
}

fn explain(kind: ErrorKind) -> Problem {
    let (key, code, detail) = match kind {
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => {
            (key, "wrong-type", format!("This is not a value of type {expected_type}."))
        }
        ErrorKind::DeserializeError { key, message, .. } => {
            let (code, _, detail) = place::explain(&message, String::new());
            (key, code, detail)
        }
        ErrorKind::InvalidUtf8InPathParam { key } => {
            (key, "not-utf-8", "This is not UTF-8 after percent-decoding.".to_owned())
        }
        ErrorKind::ParseError { .. } | ErrorKind::ParseErrorAtIndex { .. } | ErrorKind::Message(_) => {
            return nothing();
        }
        other => {
            tracing::error!(error = %other, "a handler asks for parameters that its path does not have");
            return Problem::new(&codes::INTERNAL);
        }
    };
    let mut pointer = String::new();
    place::push(&mut pointer, &key);
    nothing().error_in(Place::Path, pointer, code, detail)
}
