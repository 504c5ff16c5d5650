//! What operations share: headers, parameters, security schemes. Names and bounds come from the modules that use them.

use axum::http::HeaderName;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::auth::session;
use crate::page::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::rate_limit;
use crate::request::{REQUEST_ID, REQUEST_ID_LENGTH, TRACEPARENT};
use crate::write::idempotency;

/// The scheme of tokens.
pub(super) const BEARER: &str = "bearer";
/// The scheme of people who are signed in.
pub(super) const SESSION: &str = "session";

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const ID: &str = "01936b2e-7c1a-7d53-9a53-5a6f0c2b9e11";

/// A header's name as people write it.
pub(super) fn spelled(name: &HeaderName) -> String {
    let word = |word: &str| match word {
        "etag" => "ETag".to_owned(),
        "ratelimit" => "RateLimit".to_owned(),
        "id" | "www" => word.to_uppercase(),
        "traceparent" => word.to_owned(),
        other => other[..1].to_uppercase() + &other[1..],
    };
    name.as_str().split('-').map(word).collect::<Vec<_>>().join("-")
}

/// A reference to a component.
pub(super) fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// Every header of an answer that the foundation sends, by name.
pub(super) fn headers() -> Vec<(HeaderName, Value)> {
    let header = |name: HeaderName, description: &str, example: Value| {
        let kind = if example.is_number() { "integer" } else { "string" };
        let value = json!({ "description": description, "schema": { "type": kind }, "example": example });
        (name, value)
    };
    vec![
        header(REQUEST_ID, "Which request it was: finds it in the server's log.", ID.into()),
        header(TRACEPARENT, "The trace and span of the request (W3C Trace Context).", TRACE.into()),
        header(
            rate_limit::LIMIT,
            "How much is left (`r`) under each policy, and in how many seconds (`t`) all of it is back.",
            "read-address;r=50;t=30".into(),
        ),
        header(
            rate_limit::POLICY,
            "The policies that were applied: so many requests (`q`) in so many seconds (`w`).",
            "read-address;q=100;w=60".into(),
        ),
        header(RETRY_AFTER, "How many seconds to wait before trying again.", 2.into()),
        header(
            ETAG,
            "The version of what was answered, for `If-None-Match` and `If-Match`.",
            "\"v7\"".into(),
        ),
        header(LOCATION, "The path of what was made.", format!("/api/v1/tasks/{ID}").into()),
        header(
            LINK,
            "Where the next page is, while there is one (RFC 8288).",
            "</api/v1/tasks?cursor=AbC>; rel=\"next\"".into(),
        ),
        header(
            idempotency::REPLAYED,
            "`true` where this is the answer that the key's first request got; absent otherwise.",
            "true".into(),
        ),
        header(WWW_AUTHENTICATE, "What a token lacks (RFC 6750).", "Bearer error=\"invalid_token\"".into()),
    ]
}

/// The name of the optional and of the required Idempotency-Key among the parameters.
pub(super) fn key_parameter(required: bool) -> String {
    let name = spelled(&idempotency::HEADER);
    if required { format!("{name}-required") } else { name }
}

/// Every parameter that an operation can have by its rules, by the component's name.
pub(super) fn parameters() -> Vec<(String, Value)> {
    let header = |name: &HeaderName, required: bool, description: &str, schema: Value, example: &str| {
        json!({
            "name": spelled(name), "in": "header", "required": required, "description": description,
            "schema": schema, "example": example
        })
    };
    let key = |required: bool| {
        let quotes = 2;
        let hours = idempotency::KEPT_FOR.as_secs() / 3600;
        let text = &format!(
            "Makes the write happen once, however often it is sent: for {hours} hours the same key gets the same answer \
             again. A key belongs to its caller, its route and its body, and to the organization and the token with which it was \
             sent. Bare or in quotation marks."
        );
        let schema = json!({
            "type": "string", "minLength": 1, "maxLength": idempotency::LONGEST + quotes,
            "pattern": idempotency::pattern()
        });
        (key_parameter(required), header(&idempotency::HEADER, required, text, schema, &format!("\"{ID}\"")))
    };
    let text = || json!({ "type": "string" });
    vec![
        key(false),
        key(true),
        (
            spelled(&IF_MATCH),
            header(
                &IF_MATCH,
                true,
                "The `ETag` that the caller has seen: what was changed since then is not overwritten.",
                text(),
                "\"v7\"",
            ),
        ),
        (
            spelled(&IF_NONE_MATCH),
            header(
                &IF_NONE_MATCH,
                false,
                "The `ETag` that the caller has: the answer is 304 while it is the current one.",
                text(),
                "\"v7\"",
            ),
        ),
        (
            spelled(&REQUEST_ID),
            header(
                &REQUEST_ID,
                false,
                &format!(
                    "Names the request in the server's log: 1 to {REQUEST_ID_LENGTH} letters, digits, `-`, `_` and `.`. \
                     Without it, or where it is anything else, the server chooses one."
                ),
                text(),
                ID,
            ),
        ),
        (
            TRACEPARENT.as_str().to_owned(),
            header(&TRACEPARENT, false, "Continues this trace (W3C Trace Context).", text(), TRACE),
        ),
        (
            "limit".to_owned(),
            json!({
                "name": "limit", "in": "query", "required": false,
                "description": "How many items the page has at most.",
                "schema": {
                    "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT
                },
                "example": DEFAULT_LIMIT
            }),
        ),
        (
            "cursor".to_owned(),
            json!({
                "name": "cursor", "in": "query", "required": false,
                "description": "The `next_cursor` of the page before; without it the first page is answered.",
                "schema": { "type": "string", "pattern": "^[A-Za-z0-9_-]*$" }
            }),
        ),
    ]
}

/// How somebody shows who they are, by the scheme's name.
pub(super) fn security_schemes() -> [(&'static str, Value); 2] {
    [
        (
            BEARER,
            json!({
                "type": "http", "scheme": "bearer",
                "description": "An agent's token. What it may do are its scopes; each operation names those it needs."
            }),
        ),
        (
            SESSION,
            json!({
                "type": "apiKey", "in": "cookie", "name": session::COOKIE,
                "description": "The session of a person who is signed in. What they may do are the scopes of their role."
            }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_spelled_as_their_documents_do() {
        let names: Vec<_> = headers().iter().map(|(name, _)| spelled(name)).collect();
        assert_eq!(
            names,
            [
                "X-Request-ID",
                "traceparent",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "ETag",
                "Location",
                "Link",
                "Idempotency-Replayed",
                "WWW-Authenticate"
            ]
        );
    }
}
