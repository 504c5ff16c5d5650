//! Answers of any length, made a page at a time while they are sent: neither their length nor a slow reader costs memory.

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use futures_util::TryFutureExt as _;
use futures_util::stream::try_unfold;

use crate::database::DatabaseError;
use crate::request;

/// JSON, a value a line.
pub const NDJSON: &str = "application/x-ndjson";

/// An answer of this content type, to be kept as a file called `name`. `page` makes the next part and what comes after
/// it; it is asked only when the part before has been sent.
///
/// The status is sent before anything can go wrong, so an answer that breaks off is cut, not ended: whoever reads it
/// sees that. A last line that says it is the last helps those who read a copy.
pub fn response<S, F, W>(kind: &'static str, name: &str, start: S, mut page: F) -> Response
where
    S: Send + 'static,
    F: FnMut(S) -> W + Send + 'static,
    W: Future<Output = Result<Option<(Bytes, S)>, DatabaseError>> + Send + 'static,
{
    // Parts are made when the request has left the border; they are still made for it.
    let context = request::current();
    let parts = try_unfold(start, move |state| {
        let page = page(state).inspect_err(|error| tracing::error!(%error, "a download breaks off"));
        let context = context.clone();
        async move {
            match context {
                Some(context) => request::within(context, page).await,
                None => page.await,
            }
        }
    });
    let mut response = Response::new(Body::from_stream(parts));
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let safe = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).ok().filter(|_| safe);
    headers.insert(CONTENT_DISPOSITION, disposition.unwrap_or(HeaderValue::from_static("attachment")));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use http_body_util::BodyExt as _;

    /// Counts from 0, a number a part, up to `end`; breaks at `broken`.
    fn counting(end: u32, broken: u32, made: &Arc<AtomicU32>) -> Response {
        let made = Arc::clone(made);
        response(NDJSON, "numbers.ndjson", 0, move |next| {
            made.fetch_add(1, Ordering::SeqCst);
            async move {
                if next == broken {
                    return Err(DatabaseError::Late);
                }
                Ok((next < end).then(|| (Bytes::from(format!("{next}\n")), next + 1)))
            }
        })
    }

    #[tokio::test]
    async fn parts_follow_each_other_and_are_made_when_they_are_read() {
        let made = Arc::new(AtomicU32::new(0));
        let mut answer = counting(3, u32::MAX, &made);
        assert_eq!(answer.headers()[CONTENT_DISPOSITION], "attachment; filename=\"numbers.ndjson\"");
        assert_eq!(made.load(Ordering::SeqCst), 0);
        let first = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((&first[..], made.load(Ordering::SeqCst)), (&b"0\n"[..], 1));
        let rest = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&rest[..], b"1\n2\n");
    }

    #[tokio::test]
    async fn what_breaks_off_is_not_ended() {
        let answer = counting(3, 2, &Arc::default());
        assert!(answer.into_body().collect().await.is_err());
    }

    #[test]
    fn a_name_cannot_end_its_header() {
        let answer = response(NDJSON, "a\"; b", (), |()| async { Ok(None) });
        assert_eq!(answer.headers()[CONTENT_DISPOSITION], "attachment");
    }
}
