//! Which request this is, whose trace it belongs to, and where it came from.

mod client;
mod trace;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

pub use client::Edges;
pub use trace::TraceContext;

use crate::clock::{Clock, Randomness, new_id};
use crate::problem::{Problem, codes};
use crate::telemetry::Scrubber;

/// The header that carries the request's identifier, in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that carries the trace, in both directions.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Identifiers from outside are taken over only up to this length.
pub(crate) const REQUEST_ID_LENGTH: usize = 128;

tokio::task_local! {
    static CURRENT: RequestContext;
}

/// What everything that is done for a request may say about it.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The caller's or edge's identifier if it sent a sane one, our own otherwise.
    pub request_id: Arc<str>,
    /// Where this work is in the trace.
    pub trace: TraceContext,
    /// The client's address: what the edge says, or the peer where the peer is no edge.
    pub address: IpAddr,
    /// What the client calls itself: shortened, without control characters.
    pub user_agent: Option<Arc<str>>,
}

impl RequestContext {
    /// For work that is done later: what follows from a request goes on in its name and trace, anything else begins its
    /// own.
    #[must_use]
    pub fn following(
        request_id: Option<&str>,
        traceparent: Option<&str>,
        clock: &dyn Clock,
        randomness: &dyn Randomness,
    ) -> Self {
        let trace = traceparent.and_then(|traceparent| TraceContext::continued(traceparent, randomness));
        Self {
            request_id: request_id.map_or_else(|| new_id(clock, randomness).to_string().into(), Arc::from),
            trace: trace.unwrap_or_else(|| TraceContext::start(randomness)),
            address: IpAddr::from([127, 0, 0, 1]),
            user_agent: None,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a handler asks for the request's context, and no layer above it makes one");
            Problem::new(&codes::INTERNAL)
        })
    }
}

/// The request that the current task works for; log lines say it.
#[must_use]
pub fn current() -> Option<RequestContext> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Calls `use_it` with the current request, without copying.
pub(crate) fn with_current<T>(use_it: impl FnOnce(&RequestContext) -> T) -> Option<T> {
    CURRENT.try_with(use_it).ok()
}

/// Works for the request: [`current`] is `context` within `work`.
pub async fn within<F: Future>(context: RequestContext, work: F) -> F::Output {
    CURRENT.scope(context, work).await
}

/// Makes contexts.
#[derive(Debug, Clone)]
pub struct Contexts {
    /// Tells the time for new identifiers.
    pub clock: Arc<dyn Clock>,
    /// Makes new identifiers.
    pub randomness: Arc<dyn Randomness>,
    /// The peers that may say who the client is.
    pub edges: Edges,
    /// Knows secrets: one that is sent as an identifier is none, since identifiers are written everywhere.
    pub secrets: Scrubber,
}

impl Contexts {
    /// Reads the request's headers and peer.
    #[must_use]
    pub fn of(&self, request: &Request) -> RequestContext {
        let headers = request.headers();
        RequestContext {
            request_id: sane_id(headers)
                .filter(|id| !self.secrets.knows(id))
                .map_or_else(|| new_id(&*self.clock, &*self.randomness).to_string().into(), Arc::from),
            trace: TraceContext::of(headers, &*self.randomness),
            address: self.edges.client(request),
            user_agent: client::user_agent(headers),
        }
    }
}

/// Says in the answer which request it was.
pub fn name(context: &RequestContext, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(&context.request_id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(TRACEPARENT, context.trace.header());
}

/// The layer for a router that has no [`border`](crate::border): context in, identifiers out.
pub async fn layer(State(contexts): State<Arc<Contexts>>, mut request: Request, next: Next) -> Response {
    let context = contexts.of(&request);
    request.extensions_mut().insert(context.clone());
    let mut response = within(context.clone(), next.run(request)).await;
    name(&context, response.headers_mut());
    response
}

/// The identifier in the headers if it is one: short, and nothing that a log or a shell could mistake.
fn sane_id(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(&REQUEST_ID).iter();
    let value = values.next()?.to_str().ok()?;
    let sane = values.next().is_none()
        && (1..=REQUEST_ID_LENGTH).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    sane.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::{CountingRandomness, FixedClock};
    use axum::body::Body;
    use time::OffsetDateTime;

    fn contexts() -> Contexts {
        Contexts {
            clock: Arc::new(FixedClock::at(OffsetDateTime::UNIX_EPOCH)),
            randomness: Arc::new(CountingRandomness::default()),
            edges: Edges::default(),
            secrets: Scrubber::new(&["bst_"]),
        }
    }

    fn id_of(sent: &[&str]) -> Arc<str> {
        let mut request = Request::new(Body::empty());
        for value in sent {
            request.headers_mut().append(REQUEST_ID, HeaderValue::from_str(value).expect("a header"));
        }
        contexts().of(&request).request_id
    }

    #[test]
    fn a_sane_identifier_is_taken_over() {
        assert_eq!(&*id_of(&["edge-42_a.b"]), "edge-42_a.b");
        assert_eq!(&*id_of(&[&"a".repeat(128)]), "a".repeat(128));
    }

    #[test]
    fn what_follows_goes_on_in_the_same_name_and_trace() {
        let (clock, randomness) = (FixedClock::at(OffsetDateTime::UNIX_EPOCH), CountingRandomness::default());
        let first = contexts().of(&Request::new(Body::empty()));
        let traceparent = first.trace.traceparent();
        let next =
            RequestContext::following(Some(&first.request_id), Some(&traceparent), &clock, &randomness);
        assert_eq!((&next.request_id, next.trace.trace_id()), (&first.request_id, first.trace.trace_id()));
        assert_eq!(next.trace.parent_id(), Some(first.trace.span_id()));
        let own = RequestContext::following(None, Some("none"), &clock, &randomness);
        assert!(uuid::Uuid::parse_str(&own.request_id).is_ok() && own.trace.parent_id().is_none());
    }

    #[test]
    fn anything_else_is_replaced() {
        for sent in
            [&[][..], &[""], &["a b"], &["a\"b"], &["a;b"], &["one", "two"], &["bst_s"], &[&"a".repeat(129)]]
        {
            let id = id_of(sent);
            assert!(uuid::Uuid::parse_str(&id).is_ok(), "{sent:?} became {id}");
        }
    }
}
