//! Which problems an operation can answer, by what it is.

use serde_json::{Map, Value, json};

use super::rules::{KeyUse, Rules, Who};
use crate::problem::{Code, Place, Problem, codes};

/// What the operation says of itself.
pub(super) struct Shape<'a> {
    pub(super) method: &'a str,
    pub(super) body: Body,
    pub(super) in_path: bool,
    pub(super) in_query: bool,
}

/// What body an operation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// JSON or a form: what it means is checked.
    Values,
    /// Anything else: it is taken as it comes.
    Bytes,
}

impl Shape<'_> {
    /// Whether it only reads.
    pub(super) fn reads(&self) -> bool {
        matches!(self.method, "get" | "head" | "options" | "trace")
    }

    /// Whether an Idempotency-Key may be sent.
    pub(super) fn takes_key(&self, rules: &Rules) -> bool {
        !self.reads() && rules.key != KeyUse::None
    }

    /// Whether it changes a version that its caller has seen.
    pub(super) fn changes_version(&self, rules: &Rules) -> bool {
        rules.versioned && !self.reads() && self.method != "post"
    }
}

/// What every operation can answer.
pub(super) const EVERYWHERE: [&Code; 6] = [
    &codes::REQUEST_REFUSED,
    &codes::URI_TOO_LONG,
    &codes::HEADERS_TOO_LARGE,
    &codes::INTERNAL,
    &codes::UNAVAILABLE,
    &codes::TIMED_OUT,
];

/// The problems that follow from the operation's shape and rules, beside those that it declares.
pub(super) fn of(shape: &Shape, rules: &Rules) -> Vec<&'static Code> {
    let mut found = EVERYWHERE.to_vec();
    let mut also = |holds: bool, codes: &[&'static Code]| {
        if holds {
            found.extend_from_slice(codes);
        }
    };
    also(shape.in_path, &[&codes::NOT_FOUND]);
    also(shape.in_query || rules.paged, &[&codes::QUERY_INVALID]);
    also(rules.paged, &[&codes::BAD_LIMIT, &codes::BAD_CURSOR]);
    also(
        shape.body != Body::None,
        &[
            &codes::BODY_MALFORMED,
            &codes::BODY_TOO_LARGE,
            &codes::BODY_TOO_SLOW,
            &codes::CONTENT_ENCODING_UNSUPPORTED,
        ],
    );
    also(
        shape.body == Body::Values,
        &[&codes::BODY_TOO_DEEP, &codes::CONTENT_TYPE_UNSUPPORTED, &codes::VALIDATION_FAILED],
    );
    also(rules.limited, &[&codes::RATE_LIMITED]);
    also(
        rules.who != Who::Anybody,
        &[
            &codes::AMBIGUOUS_CREDENTIALS,
            &codes::UNAUTHENTICATED,
            &codes::BAD_CREDENTIALS,
            &codes::ADDRESS_NOT_ALLOWED,
        ],
    );
    also(rules.who == Who::Person, &[&codes::PEOPLE_ONLY]);
    also(rules.who != Who::Anybody && !shape.reads(), &[&codes::CROSS_SITE]);
    also(!rules.scopes.is_empty(), &[&codes::INSUFFICIENT_SCOPE]);
    also(
        shape.takes_key(rules),
        &[&codes::IDEMPOTENCY_KEY_INVALID, &codes::IDEMPOTENCY_KEY_IN_USE, &codes::IDEMPOTENCY_KEY_REUSED],
    );
    also(shape.takes_key(rules) && rules.key == KeyUse::Required, &[&codes::IDEMPOTENCY_KEY_MISSING]);
    also(rules.versioned && shape.method != "post", &[&codes::BAD_ETAG]);
    also(shape.changes_version(rules), &[&codes::PRECONDITION_FAILED, &codes::PRECONDITION_REQUIRED]);
    found
}

/// The request that the examples are about.
const REQUEST_ID: &str = "01936b2e-7c1a-7d53-9a53-5a6f0c2b9e11";
const INSTANCE: &str = "/api/v1/tasks";

/// A problem of this kind as it is sent.
pub(super) fn example(code: &'static Code) -> Value {
    let problem = Problem::new(code);
    let problem = if *code == codes::VALIDATION_FAILED {
        problem.error("/title", "missing-field", "This member is required.")
    } else if *code == codes::QUERY_INVALID {
        problem.error_in(Place::Query, "/limt", "unknown-parameter", "There is no such parameter.")
    } else if *code == codes::INSUFFICIENT_SCOPE {
        problem.with("scope", "tasks:write")
    } else if *code == codes::RATE_LIMITED {
        problem.with("violated-policies", json!(["read-address"]))
    } else {
        problem
    };
    let mut document = problem.document();
    if let Value::Object(members) = &mut document {
        members.insert("request_id".to_owned(), REQUEST_ID.into());
        members.insert("instance".to_owned(), INSTANCE.into());
    }
    json!({ "summary": code.title, "description": code.about, "value": document })
}

/// The schema of every problem.
pub(super) fn schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let mut error = Map::new();
    error.insert("pointer".to_owned(), text("JSON pointer (RFC 6901) to the value."));
    error.insert(
        "in".to_owned(),
        json!({
            "type": "string",
            "enum": [Place::Body, Place::Query, Place::Path, Place::Header],
            "description": "The part of the request that the pointer points into."
        }),
    );
    error.insert("code".to_owned(), text("Stable name of what is wrong."));
    error.insert("detail".to_owned(), text("What is wrong, for a person."));
    let required: Vec<&String> = error.keys().collect();
    let errors = json!({
        "type": "array",
        "description": "What is wrong with single values of the request.",
        "items": { "type": "object", "required": required, "properties": error }
    });
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457). Kinds of problems may have members of their own.",
        "required": ["type", "title", "status", "code", "request_id"],
        "properties": {
            "type": {
                "type": "string", "format": "uri-reference",
                "description": "The kind of problem: leads to its page of documentation."
            },
            "title": text("The kind in a few words; the same for every occurrence."),
            "status": {
                "type": "integer", "minimum": 400, "maximum": 599, "description": "The status of the answer."
            },
            "code": {
                "type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$",
                "description": "Stable name of the kind: what programs compare."
            },
            "detail": text("What to know about this occurrence, for a person."),
            "instance": {
                "type": "string", "format": "uri-reference", "description": "The path that was asked for."
            },
            "request_id": text("Which request it was: finds it in the server's log."),
            "errors": errors
        }
    })
}
