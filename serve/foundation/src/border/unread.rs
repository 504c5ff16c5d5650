//! Bodies that nobody has begun to read when their answer is ready.
//!
//! An answer that overtakes its request's body is a trap for what stands in between. Go's HTTP/2 client stops sending the
//! body when it sees an error; Caddy, in front of us, then waits for that body before it ends the answer, and the client
//! waits for both. So an untouched body is read and thrown away first, within limits.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::Version;
use axum::http::header::EXPECT;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

/// So much is read and thrown away.
const BYTES: usize = 1 << 20;
/// For so long it is waited for.
const TIME: Duration = Duration::from_secs(2);

/// A request's body, to be had back where nobody began to read it.
pub(super) struct Unread(Arc<Mutex<Option<Body>>>);

impl Unread {
    /// Keeps hold of the body; none where there is nothing to read.
    pub(super) fn of(request: &mut Request) -> Option<Self> {
        // Whoever waits to be told to go on has sent nothing, and will not where it gets an answer.
        let waits = request.version() < Version::HTTP_2 && request.headers().contains_key(EXPECT);
        if waits || request.body().is_end_stream() {
            return None;
        }
        let body = Arc::new(Mutex::new(Some(std::mem::take(request.body_mut()))));
        *request.body_mut() = Body::new(Lent { whole: Arc::clone(&body), own: None });
        Some(Self(body))
    }

    /// Reads what nobody wanted.
    pub(super) async fn discard(self) {
        let Some(mut body) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let reading = async {
            let mut read = 0;
            while read < BYTES
                && let Some(Ok(frame)) = body.frame().await
            {
                read += frame.data_ref().map_or(0, Bytes::len);
            }
        };
        // Who is slower than that gets its answer early.
        let _ = tokio::time::timeout(TIME, reading).await;
    }
}

/// The body as handlers have it: theirs from the first time that they read.
struct Lent {
    whole: Arc<Mutex<Option<Body>>>,
    own: Option<Body>,
}

impl Lent {
    fn peek<T>(&self, look: impl FnOnce(&Body) -> T) -> Option<T> {
        match &self.own {
            Some(body) => Some(look(body)),
            None => self.whole.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look),
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.own.is_none() {
            let taken = self.whole.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.own = taken;
        }
        match &mut self.own {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.peek(Body::is_end_stream).unwrap_or(true)
    }

    fn size_hint(&self) -> SizeHint {
        self.peek(Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A body of `chunks` chunks of 64 KiB, and how many were read.
    fn body(chunks: usize) -> (Body, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&read);
        let chunk = move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, axum::Error>(Bytes::from_static(&[0; 1 << 16]))
        };
        (Body::from_stream(stream::iter((0..chunks).map(chunk))), read)
    }

    #[tokio::test]
    async fn what_nobody_read_is_read_within_limits() {
        for (chunks, expected) in [(3, 3), (1000, BYTES >> 16)] {
            let (body, read) = body(chunks);
            let mut request = Request::new(body);
            let unread = Unread::of(&mut request).expect("a body");
            drop(request);
            unread.discard().await;
            assert_eq!(read.load(Ordering::Relaxed), expected);
        }
    }

    #[tokio::test]
    async fn who_reads_has_all_of_it_and_nothing_is_left() {
        let (body, read) = body(3);
        let mut request = Request::new(body);
        let unread = Unread::of(&mut request).expect("a body");
        let all = request.into_body().collect().await.expect("the body").to_bytes();
        assert_eq!((all.len(), read.load(Ordering::Relaxed)), (3 << 16, 3));
        unread.discard().await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_is_not_waited_for_long() {
        let never = stream::pending::<Result<Bytes, axum::Error>>();
        let mut request = Request::new(Body::from_stream(never));
        let unread = Unread::of(&mut request).expect("a body");
        unread.discard().await;
    }

    #[test]
    fn nothing_and_what_was_not_sent_is_not_read() {
        assert!(Unread::of(&mut Request::new(Body::empty())).is_none());
        let mut request = Request::new(body(1).0);
        request.headers_mut().insert(EXPECT, axum::http::HeaderValue::from_static("100-continue"));
        assert!(Unread::of(&mut request).is_none());
    }
}
