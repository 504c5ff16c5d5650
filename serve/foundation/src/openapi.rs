//! OpenAPI 3.1, generated from the handlers: `/openapi.json` for programs and `/docs` for people.
//!
//! A handler's `#[utoipa::path]` says what is its own: summary, body, answers. Its [`Rules`] say who may ask and by
//! which conventions, as the extension `x-rules`. [`Document::new`] adds what follows from both: security and scopes,
//! headers, parameters, every problem with an example. [`Document::gaps`] says what is still missing, and [`router`]
//! serves the result.

mod bodies;
mod complete;
mod components;
mod example;
mod gaps;
mod page;
mod problems;
mod rules;
#[cfg(test)]
mod sample;
mod serve;
mod text;

use serde_json::{Map, Value};

use crate::problem::registry::Registry;

pub use gaps::Gap;
pub use rules::{EXTENSION, Rules};
pub use serve::{Pages, router};

/// The methods under which a path has operations, in the order in which they are shown.
const METHODS: [&str; 8] = ["get", "head", "post", "put", "patch", "delete", "options", "trace"];

/// Why a document cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The collected document is no JSON.
    #[error("writing the collected OpenAPI document as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// An operation's extension `x-rules` is not made of [`Rules`].
    #[error("reading `{EXTENSION}` of {operation}: {source}; give it json!(Rules::…)")]
    Rules {
        /// Method and path.
        operation: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// An operation answers a problem that has no page.
    #[error(
        "describing {operation}: the problem `{code}` is in no registry; register it, so that it has a page"
    )]
    Code {
        /// Method and path.
        operation: String,
        /// The unknown code.
        code: String,
    },
}

/// A finished document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document(Value);

impl Document {
    /// Completes what was collected from the handlers. Every problem must be in the registry.
    ///
    /// # Errors
    /// [`DocumentError`]; the same at every start, so a test that makes the document finds it.
    pub fn new(collected: &utoipa::openapi::OpenApi, registry: &Registry) -> Result<Self, DocumentError> {
        let mut document = serde_json::to_value(collected)?;
        complete::document(&mut document, registry)?;
        document.sort_all_objects();
        Ok(Self(document))
    }

    /// What the document does not say and should; nothing when it is complete.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        gaps::of(&self.0)
    }

    /// The document.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// As it is served and committed: indented, members in alphabetical order, a newline at the end. The same document
    /// is always the same text.
    #[must_use]
    pub fn to_json(&self) -> String {
        format!("{:#}\n", self.0)
    }
}

/// An operation with its place.
struct Operation<'a> {
    path: &'a str,
    method: &'a str,
    members: &'a Map<String, Value>,
}

/// Every operation, by path and then method.
fn operations(document: &Value) -> impl Iterator<Item = Operation<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |method| {
            item.get(method)?.as_object().map(|members| Operation { path, method, members })
        })
    })
}

/// What a value is, or refers to within the document. Nothing where the reference leads nowhere.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> Option<&'a Value> {
    match value.get("$ref") {
        Some(reference) => document.pointer(reference.as_str()?.strip_prefix('#')?),
        None => Some(value),
    }
}

/// A list that a value has under this name; empty where there is none.
fn list<'a>(value: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The members of an object that a value has under this name; none where there is none.
fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(name).and_then(Value::as_object).into_iter().flatten()
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
