//! Lists, a page at a time: a stable order, a bounded size, and an opaque cursor to the next page.
//!
//! The order is that of `created_at` and then `id`, or the reverse, so that rows which appear or vanish meanwhile move no
//! other row to another page. A list asks for one row more than it shows ([`PageRequest::rows_to_fetch`]) and knows by it whether
//! there is a next page.

pub mod cursor;
pub mod list;

use axum::Json;
use axum::http::header::LINK;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::problem::{Problem, codes};
use cursor::{CursorKey, Position};

/// Items of a page unless the caller says otherwise.
pub const DEFAULT_LIMIT: u16 = 50;
/// Most items of a page.
pub const MAX_LIMIT: u16 = 200;

/// The query parameters of a list, as they came.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Paging {
    /// How many items the page has at most.
    pub limit: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// Which page a caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    limit: u16,
    after: Option<Position>,
}

impl PageRequest {
    /// Reads the query parameters `limit` and `cursor`. `query` names what is listed, with all filters and the
    /// organization: a cursor made for another list is refused.
    ///
    /// # Errors
    /// A problem `bad-limit` or `bad-cursor`.
    pub fn read(
        limit: Option<&str>,
        cursor: Option<&str>,
        key: &CursorKey,
        query: &str,
    ) -> Result<Self, Problem> {
        let limit = limit.map_or(Ok(DEFAULT_LIMIT), read_limit)?;
        let after = cursor.map(|cursor| key.open(cursor, query)).transpose()?;
        Ok(Self { limit, after })
    }

    /// The same, of parameters that came together.
    ///
    /// # Errors
    /// As [`PageRequest::read`].
    pub fn of(paging: &Paging, key: &CursorKey, query: &str) -> Result<Self, Problem> {
        Self::read(paging.limit.as_deref(), paging.cursor.as_deref(), key, query)
    }

    /// Items on the page, at most.
    #[must_use]
    pub fn limit(&self) -> u16 {
        self.limit
    }

    /// How many rows to ask for: one more than the page shows.
    #[must_use]
    pub fn rows_to_fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The last item of the page before, after which this one starts.
    #[must_use]
    pub fn after(&self) -> Option<Position> {
        self.after
    }
}

fn read_limit(text: &str) -> Result<u16, Problem> {
    let digits = text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|limit| digits && (1..=MAX_LIMIT).contains(limit)).ok_or_else(|| {
        Problem::new(&codes::BAD_LIMIT).detail(format!("limit is a number from 1 to {MAX_LIMIT}."))
    })
}

/// One page of a list, in JSON `{"items": […], "next_cursor": "…" or null}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// With this the next page is asked for; nothing on the last page.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page out of at most [`PageRequest::rows_to_fetch`] rows; `query` as in [`PageRequest::read`].
    #[must_use]
    pub fn new(
        mut rows: Vec<T>,
        request: &PageRequest,
        position: impl Fn(&T) -> Position,
        key: &CursorKey,
        query: &str,
    ) -> Self {
        let more = rows.len() > usize::from(request.limit);
        rows.truncate(usize::from(request.limit));
        let next_cursor = rows.last().filter(|_| more).map(|last| key.seal(&position(last), query));
        Self { items: rows, next_cursor }
    }

    /// The same page of other items.
    #[must_use]
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next_cursor: self.next_cursor }
    }

    /// The `Link` header (RFC 8288) to the next page, as seen from the request's `uri`.
    #[must_use]
    pub fn link(&self, uri: &Uri) -> Option<HeaderValue> {
        let cursor = self.next_cursor.as_ref()?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        let others = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        query.extend_pairs(others.filter(|(name, _)| name != "cursor")).append_pair("cursor", cursor);
        HeaderValue::try_from(format!("<{}?{}>; rel=\"next\"", uri.path(), query.finish())).ok()
    }
}

impl<T: Serialize> Page<T> {
    /// The answer to a request of this `uri`: the page, and a link to the next one.
    #[must_use]
    pub fn answer(self, uri: &Uri) -> Response {
        let link = self.link(uri);
        let mut response = Json(self).into_response();
        if let Some(link) = link {
            response.headers_mut().insert(LINK, link);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn key() -> CursorKey {
        CursorKey::new(&[1; 32]).unwrap()
    }

    fn position(number: &u128) -> Position {
        Position { at: OffsetDateTime::UNIX_EPOCH, id: Uuid::from_u128(*number) }
    }

    #[test]
    fn limits_are_bounded() {
        let read = |limit| PageRequest::read(limit, None, &key(), "tasks").map(|request| request.limit());
        assert_eq!(read(None).unwrap(), DEFAULT_LIMIT);
        assert_eq!(read(Some("200")).unwrap(), 200);
        for bad in ["", "0", "-1", "+5", "201", "1e2", "50 ", "٣", "99999999999999999999", "\0"] {
            assert_eq!(read(Some(bad)).unwrap_err().code(), &codes::BAD_LIMIT, "{bad}");
        }
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let rows: Vec<u128> = (1..=7).collect();
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let request = PageRequest::read(Some("3"), cursor.as_deref(), &key(), "tasks").unwrap();
            let after = request.after().map_or(0, |position| position.id.as_u128());
            let found = rows.iter().copied().filter(|row| *row > after);
            let fetched = found.take(usize::try_from(request.rows_to_fetch()).unwrap()).collect();
            let page = Page::new(fetched, &request, position, &key(), "tasks");
            assert!(page.items.len() <= 3);
            seen.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, rows);
    }

    #[test]
    fn a_full_last_page_has_no_next() {
        let request = PageRequest::read(Some("3"), None, &key(), "tasks").unwrap();
        let page = Page::new(vec![1, 2, 3], &request, position, &key(), "tasks");
        assert_eq!(serde_json::to_string(&page).unwrap(), r#"{"items":[1,2,3],"next_cursor":null}"#);
        assert!(page.link(&Uri::from_static("/api/v1/tasks")).is_none());
    }

    #[test]
    fn the_link_keeps_the_filters() {
        let page = Page { items: vec![0], next_cursor: Some("new".to_owned()) };
        let uri = Uri::from_static("/api/v1/tasks?cursor=old&state=open%20%3E&limit=3");
        assert_eq!(
            page.link(&uri).unwrap(),
            "</api/v1/tasks?state=open+%3E&limit=3&cursor=new>; rel=\"next\""
        );
    }
}
