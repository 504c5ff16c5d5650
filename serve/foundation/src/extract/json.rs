//! `Json<T>`: a body that is exactly what the operation describes.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::body::{content_type, is_utf8, limits, read, unsupported_type};
use super::place;
use super::strict::Strict;
use crate::problem::{Problem, codes};

/// Problems with more errors than this name the first ones.
const ERRORS: usize = 20;

/// A JSON body. Unknown members are refused, in types without `#[serde(flatten)]` also without
/// `deny_unknown_fields`. As an answer it is the value as JSON.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !says_json(&request) {
            return Err(unsupported_type("application/json"));
        }
        JsonBody::from_request(request, state).await?.parse().map(Self)
    }
}

/// A body that is kept as it came and may be read as JSON, for handlers that need both.
#[derive(Debug, Clone)]
pub struct JsonBody {
    bytes: axum::body::Bytes,
    says_json: bool,
    depth: usize,
}

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (says_json, limits) = (says_json(&request), limits(&request));
        Ok(Self { bytes: read(request, limits).await?, says_json, depth: limits.depth })
    }
}

impl JsonBody {
    /// The body as it came.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the body says.
    ///
    /// # Errors
    /// A problem of the content type or of the body.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if !self.says_json {
            return Err(unsupported_type("application/json"));
        }
        from_slice(&self.bytes, self.depth)
    }
}

/// For a member of a merge patch (RFC 7396) that can be cleared: absent is `None`, `null` is `Some(None)`. Goes with
/// `#[serde(default, deserialize_with = "patched")]`.
///
/// # Errors
/// What is wrong with the value.
pub fn patched<'de, T: serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    <Option<T> as serde::Deserialize>::deserialize(deserializer).map(Some)
}

/// For a member that may be left out and is never `null`. Goes with `#[serde(default, deserialize_with = "given")]`.
///
/// # Errors
/// What is wrong with the value.
pub fn given<'de, T: serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn says_json(request: &Request) -> bool {
    content_type(request).is_some_and(|kind| is_json(&kind))
}

impl<T: serde::Serialize> axum::response::IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

/// `application/json` and what is built on it, such as `application/merge-patch+json`.
fn is_json(kind: &str) -> bool {
    let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let json = essence
        .trim()
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"));
    json && is_utf8(parameters)
}

/// A value from a body, or what is wrong with which part of it.
pub(crate) fn from_slice<T: DeserializeOwned>(body: &[u8], depth: usize) -> Result<T, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Problem::new(&codes::BODY_MALFORMED).detail(format!("Byte {} is not UTF-8.", error.valid_up_to() + 1))
    })?;
    if text.is_empty() {
        return Err(Problem::new(&codes::BODY_MALFORMED).detail("The body is empty; JSON is expected."));
    }
    let nul = inspect(text, depth)?;
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let mut json = serde_json::Deserializer::from_str(text);
    let tracked = serde_path_to_error::Deserializer::new(Strict(&mut json), &mut track);
    let value = serde_ignored::deserialize(tracked, |path| {
        if unknown.len() < ERRORS {
            unknown.push(place::ignored(&path));
        }
    });
    let value: T = match value {
        Ok(value) => value,
        // The text is looked at as a whole: a wrong type may stand before what is no JSON, and what a choice of words
        // calls an error of syntax may be an object in its place.
        Err(error) => {
            return Err(match is_syntax(text) {
                Some(syntax) => malformed(&syntax),
                None => wrong_value(&error, &track.path()),
            });
        }
    };
    json.end().map_err(|error| malformed(&error))?;
    if nul {
        return Err(contains_nul(text));
    }
    if unknown.is_empty() {
        return Ok(value);
    }
    let detail = "Members that this operation does not know are refused.";
    Err(unknown
        .into_iter()
        .fold(Problem::new(&codes::VALIDATION_FAILED).detail(detail), |problem, pointer| {
            problem.error(pointer, "unknown-field", "This member is unknown here.")
        }))
}

fn is_syntax(text: &str) -> Option<serde_json::Error> {
    serde_json::from_str::<Value>(text).err()
}

fn malformed(error: &serde_json::Error) -> Problem {
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    Problem::new(&codes::BODY_MALFORMED)
        .detail(format!("The JSON breaks in line {}, column {}: {what}.", error.line(), error.column()))
        .with("line", error.line())
        .with("column", error.column())
}

fn wrong_value(error: &serde_json::Error, path: &serde_path_to_error::Path) -> Problem {
    let (code, pointer, detail) = place::explain(&error.to_string(), place::pointer(path));
    Problem::new(&codes::VALIDATION_FAILED)
        .detail("A value of the body is not valid.")
        .error(pointer, code, detail)
}

/// One pass before any memory is taken for values: refuses what is nested too deeply, and says whether a string
/// has the character U+0000, which PostgreSQL cannot store.
fn inspect(text: &str, limit: usize) -> Result<bool, Problem> {
    let (mut depth, mut in_string, mut nul) = (0_usize, false, false);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if in_string => {
                nul |= bytes[at + 1..].starts_with(b"u0000");
                at += 1;
            }
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return Err(Problem::new(&codes::BODY_TOO_DEEP)
                .detail(format!("Arrays and objects may be nested {limit} deep."))
                .with("limit", limit));
        }
        at += 1;
    }
    Ok(nul)
}

fn contains_nul(text: &str) -> Problem {
    let mut pointer = String::new();
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        find_nul(&value, &mut pointer);
    }
    Problem::new(&codes::VALIDATION_FAILED).detail("A text contains the character U+0000.").error(
        pointer,
        "nul-character",
        "Remove the character U+0000.",
    )
}

/// Leaves `pointer` at the first text with the character.
fn find_nul(value: &Value, pointer: &mut String) -> bool {
    let length = pointer.len();
    let mut inside = |segment: &str, value: &Value| {
        place::push(pointer, segment);
        let found = segment.contains('\0') || find_nul(value, pointer);
        if !found {
            pointer.truncate(length);
        }
        found
    };
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => {
            values.iter().enumerate().any(|(index, value)| inside(&index.to_string(), value))
        }
        Value::Object(members) => members.iter().any(|(name, value)| inside(name, value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only read by serde")]
    struct Task {
        title: String,
        #[serde(default)]
        labels: Vec<Label>,
        priority: Option<u8>,
        #[serde(default, deserialize_with = "given")]
        place: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read by serde")]
    struct Label {
        name: String,
    }

    fn refused(body: &[u8]) -> (&'static str, Vec<(String, &'static str)>) {
        let problem = from_slice::<Task>(body, 32).expect_err("refused");
        let errors = problem.errors().iter().map(|error| (error.pointer.clone(), error.code)).collect();
        (problem.code().code, errors)
    }

    #[test]
    fn wrong_values_are_named_by_a_pointer() {
        let cases = [
            (r#"{"title":1}"#, "/title", "wrong-type"),
            (r#"{}"#, "/title", "missing-field"),
            (r#"[]"#, "", "wrong-type"),
            (r#"["a",[["b"]],1]"#, "", "wrong-type"),
            (r#"{"title":"a","labels":[["b"]]}"#, "/labels/0", "wrong-type"),
            (r#""text""#, "", "wrong-type"),
            (r#"{"title":"a","priority":256}"#, "/priority", "invalid-value"),
            (r#"{"title":"a","labels":[{"name":"a"},{"name":null}]}"#, "/labels/1/name", "wrong-type"),
            (r#"{"title":"a","labels":[{"name":"a","x/y":1}]}"#, "/labels/0/x~1y", "unknown-field"),
            (r#"{"title":"a","extra":{"deep":1}}"#, "/extra", "unknown-field"),
            (r#"{"title":"a","title":"b"}"#, "/title", "duplicate-field"),
            (r#"{"title":"a\u0000b"}"#, "/title", "nul-character"),
            (r#"{"title":"a","place":null}"#, "/place", "wrong-type"),
        ];
        for (body, pointer, code) in cases {
            let expected = ("validation-failed", vec![(pointer.to_owned(), code)]);
            assert_eq!(refused(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        let bodies: [&[u8]; 9] = [
            b"",
            b"{",
            b"{\"title\":1",
            b"{\"title\":\"a\"} x",
            b"{\"title\":\"\xff\"}",
            b"{\"title\":\"\\ud800\"}",
            b"{\"title\":\"a\0\"}",
            b"\xef\xbb\xbf{}",
            b"nope",
        ];
        for body in bodies {
            assert_eq!(refused(body).0, "body-malformed", "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn depth_is_bounded_before_anything_is_read() {
        assert_eq!(refused("[".repeat(1_000_000).as_bytes()).0, "body-too-deep");
        assert_ne!(refused("[".repeat(32).as_bytes()).0, "body-too-deep");
        let text = format!("{{\"title\":\"{}\"}}", "[".repeat(100));
        assert!(from_slice::<Task>(text.as_bytes(), 32).is_ok(), "brackets in a text are text");
    }

    #[test]
    fn content_types_of_json() {
        for kind in ["application/json", "application/json; charset=utf-8", "application/merge-patch+json"] {
            assert!(is_json(kind), "{kind}");
        }
        for kind in ["text/json", "application/jsonx", "application/json; charset=latin1", "json", ""] {
            assert!(!is_json(kind), "{kind}");
        }
    }
}
