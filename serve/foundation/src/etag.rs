//! Strong entity tags, and the conditions of a request on them (RFC 9110, sections 8.8.3 and 13).
//!
//! Reading: `If-None-Match` answers 304 when the caller has it already. Writing: `If-Match` says which version the caller
//! has seen; without it 428 where a route requires it, and 412 when the version is another one by now.

use std::fmt;

use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

use crate::problem::{Problem, codes};

/// More tags than any client has seen versions.
const MOST_TAGS: usize = 64;

/// A strong entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of a resource's version, which every change of it counts up.
    #[must_use]
    pub fn of_version(version: i64) -> Self {
        Self(format!("v{version}"))
    }

    /// The tag of these bytes.
    #[must_use]
    pub fn of_content(content: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, content);
        Self(URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]))
    }

    /// The value of the header `ETag`.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("a tag is made of letters, digits, '-' and '_'")
    }

    /// Puts the tag on an answer.
    #[must_use]
    pub fn on(&self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        response.headers_mut().insert(ETAG, self.header());
        response
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.0)
    }
}

/// What one of the two headers lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `*`: whatever there is.
    Any,
    /// These tags.
    Tags(Vec<Tag>),
}

/// A tag as a client sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    weak: bool,
    opaque: String,
}

impl Condition {
    /// This tag alone, where it comes by another way than a header, such as a form.
    #[must_use]
    pub fn of(tag: &ETag) -> Self {
        Self::Tags(vec![Tag { weak: false, opaque: tag.0.clone() }])
    }

    /// `If-Match`, if it was sent.
    ///
    /// # Errors
    /// A problem `bad-etag`.
    pub fn if_match(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        Self::read(headers, &IF_MATCH)
    }

    /// `If-None-Match`, if it was sent.
    ///
    /// # Errors
    /// A problem `bad-etag`.
    pub fn if_none_match(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        Self::read(headers, &IF_NONE_MATCH)
    }

    fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Problem> {
        let mut lines = headers.get_all(name).iter().peekable();
        if lines.peek().is_none() {
            return Ok(None);
        }
        // Several lines of a list are one list.
        let list = lines.map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..]);
        parse(&list).map(Some).ok_or_else(|| {
            Problem::new(&codes::BAD_ETAG)
                .detail(format!("{name} is * or a list of entity tags in double quotes."))
        })
    }

    /// Whether the tag of what there is now is among these. A weak tag never is: it does not tell versions apart.
    #[must_use]
    pub fn matches_strongly(&self, current: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| !tag.weak && tag.opaque == current.0),
        }
    }

    /// The same, and a weak tag counts as well: a cache on the way may have made it weak.
    #[must_use]
    pub fn matches_weakly(&self, current: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag.opaque == current.0),
        }
    }
}

/// For GET and HEAD: the answer 304 if the caller has `current` already.
///
/// # Errors
/// A problem `bad-etag`.
pub fn not_modified(headers: &HeaderMap, current: &ETag) -> Result<Option<Response>, Problem> {
    let known = Condition::if_none_match(headers)?.is_some_and(|known| known.matches_weakly(current));
    Ok(known.then(|| current.on(StatusCode::NOT_MODIFIED)))
}

/// For a write that must not overwrite what its caller has not seen. Ask it before the transaction, so that a request
/// without the header costs nothing, and check the condition in the transaction, on the locked row.
///
/// # Errors
/// A problem `precondition-required` or `bad-etag`.
pub fn required_if_match(headers: &HeaderMap) -> Result<Condition, Problem> {
    Condition::if_match(headers)?.ok_or_else(|| Problem::new(&codes::PRECONDITION_REQUIRED))
}

/// Whether a write may go on, of which `current` is the version now.
///
/// # Errors
/// A problem `precondition-failed`, which has the current tag.
pub fn check(condition: Option<&Condition>, current: &ETag) -> Result<(), Problem> {
    match condition {
        Some(condition) if !condition.matches_strongly(current) => {
            Err(Problem::new(&codes::PRECONDITION_FAILED).header(ETAG, current.header()))
        }
        _ => Ok(()),
    }
}

/// Reads `*` or a list of entity tags; a list may have empty elements, and a tag anything but quotes and controls.
fn parse(list: &[u8]) -> Option<Condition> {
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return Some(Condition::Any);
    }
    let mut tags = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(b",") {
            rest = after.trim_ascii_start();
            continue;
        }
        let weak = rest.starts_with(b"W/");
        let quoted = if weak { &rest[2..] } else { rest }.strip_prefix(b"\"")?;
        let end = quoted.iter().position(|byte| *byte == b'"')?;
        let allowed = |byte: &u8| *byte == 0x21 || (0x23..=0x7e).contains(byte) || *byte >= 0x80;
        if tags.len() == MOST_TAGS || !quoted[..end].iter().all(allowed) {
            return None;
        }
        tags.push(Tag { weak, opaque: String::from_utf8_lossy(&quoted[..end]).into_owned() });
        rest = quoted[end + 1..].trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
    }
    (!tags.is_empty()).then_some(Condition::Tags(tags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garbage::Garbage;

    fn headers(name: HeaderName, lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn a_caller_who_has_it_gets_304_with_the_tag() {
        let current = ETag::of_version(7);
        let ask = |lines: &[&[u8]]| not_modified(&headers(IF_NONE_MATCH, lines), &current);
        for line in [&br#""v7""#[..], br#"W/"v7""#, b"*", br#""v6", "v7""#, br#" , "v6" ,, W/"v7" ,"#] {
            let answer = ask(&[line]).unwrap().unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(answer.headers()[ETAG], "\"v7\"");
        }
        assert!(ask(&[br#""v6""#, br#""v7""#]).unwrap().is_some(), "two lines are one list");
        assert!(ask(&[br#""v6""#]).unwrap().is_none());
        assert!(ask(&[br#""v7 ""#]).is_err(), "a space is no character of a tag");
        assert!(ask(&[]).unwrap().is_none());
    }

    #[test]
    fn a_write_needs_the_version_it_changes() {
        let ask = |line: &[u8]| {
            let condition = required_if_match(&headers(IF_MATCH, &[line])).unwrap();
            check(Some(&condition), &ETag::of_version(7)).map_err(|problem| problem.code().status)
        };
        assert_eq!(ask(br#""v7""#), Ok(()));
        assert_eq!(ask(br#""v1", "v7""#), Ok(()));
        assert_eq!(ask(b"*"), Ok(()));
        assert_eq!(ask(br#""v6""#), Err(412));
        assert_eq!(ask(br#"W/"v7""#), Err(412), "a weak tag never matches a write");
        assert_eq!(required_if_match(&HeaderMap::new()).unwrap_err().code().status, 428);
        assert!(check(None, &ETag::of_version(7)).is_ok());
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        let bad: [&[u8]; 14] = [
            b"",
            b"v7",
            b"\"v7",
            b"v7\"",
            b"\"",
            b"W/v7",
            b"w/\"v7\"",
            b"W/ \"v7\"",
            b"\"a\" \"b\"",
            b"*, \"v7\"",
            b"\"v7\", *",
            b",",
            b"\"a\tb\"",
            b"**",
        ];
        for line in bad {
            let problem = Condition::if_match(&headers(IF_MATCH, &[line])).unwrap_err();
            assert_eq!(problem.code(), &codes::BAD_ETAG, "{}", String::from_utf8_lossy(line));
        }
        let many = vec!["\"a\""; MOST_TAGS + 1].join(",");
        assert!(parse(many.as_bytes()).is_none());
    }

    #[test]
    fn bytes_above_ascii_and_garbage_do_no_harm() {
        assert!(parse(b"\"\xff\xfe\"").is_some());
        let mut garbage = Garbage::new(4);
        for _ in 0..20_000 {
            let line = garbage.text("\"W/*, av7\u{e9}", 20);
            if let Some(Condition::Tags(tags)) = parse(line.as_bytes()) {
                assert!(!tags.is_empty() && tags.len() <= MOST_TAGS);
            }
            parse(&garbage.bytes(30));
        }
    }

    #[test]
    fn content_has_a_tag_of_its_own() {
        assert_ne!(ETag::of_content(b"a"), ETag::of_content(b"b"));
        assert_eq!(ETag::of_content(b"a").to_string().len(), 24);
    }
}
