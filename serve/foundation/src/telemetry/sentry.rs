//! Errors reported to a tracker that speaks Sentry's protocol: what the log says at level error, panics too, with the
//! request, its trace and its route, and without secrets.
//!
//! A request never waits for the tracker. [`ErrorReports`] puts a report into a bounded queue, and [`Delivery`], a task
//! beside the requests, sends it; what is too much is dropped and counted. No header, cookie, body or query is reported.

mod delivery;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use sentry_core::protocol::{
    Context as Told, Event as Report, Exception, Level as Severity, Map, TraceContext,
};
use sentry_core::{Client, ClientOptions};
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

pub use delivery::Delivery;
pub use sentry_core::types::{Dsn, Scheme};

use super::{Line, Metrics, Scrubber};
use crate::clock::{Clock, Randomness, new_id};
use crate::http_client::HttpClient;
use crate::request;

/// More errors in a minute are dropped: they are those that came before, again.
const MOST_A_MINUTE: u32 = 100;
/// Characters of a text that are reported.
const LONGEST: usize = 2_000;

/// Where errors are reported to, and as whose.
#[derive(Debug, Clone)]
pub struct Tracker {
    /// The tracker's address for this application.
    pub dsn: Dsn,
    /// The name of what is deployed.
    pub release: String,
    /// Where it is deployed.
    pub environment: String,
    /// Reaches the tracker.
    pub client: HttpClient,
}

/// A layer of the log that reports errors.
pub struct ErrorReports {
    client: Client,
    scrubber: Scrubber,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    minute: Mutex<Minute>,
    dropped: Counter,
}

/// How much was reported since when.
#[derive(Debug)]
struct Minute {
    since: OffsetDateTime,
    reported: u32,
}

impl fmt::Debug for ErrorReports {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ErrorReports").field("minute", &self.minute).finish_non_exhaustive()
    }
}

impl ErrorReports {
    /// Reports to `tracker` by the delivery that is returned with it.
    #[must_use]
    pub fn new(
        tracker: Tracker,
        scrubber: Scrubber,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
        metrics: &Metrics,
    ) -> (Self, Delivery) {
        let dropped = Counter::default();
        let help = "Errors that were not reported to the tracker";
        metrics.register(|registry| registry.register("error_reports_dropped", help, dropped.clone()));
        let (queue, delivery) = delivery::queue(&tracker.dsn, tracker.client, dropped.clone());
        let mut options = ClientOptions::new()
            .release(tracker.release)
            .environment(tracker.environment)
            .default_integrations(false)
            .transport(Arc::new(queue));
        options.dsn = Some(tracker.dsn);
        let client = Client::with_options(options);
        let minute = Mutex::new(Minute { since: clock.now(), reported: 0 });
        (Self { client, scrubber, clock, randomness, minute, dropped }, delivery)
    }

    fn is_within_bounds(&self, now: OffsetDateTime) -> bool {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if now - minute.since >= Duration::MINUTE || now < minute.since {
            *minute = Minute { since: now, reported: 0 };
        }
        minute.reported += 1;
        minute.reported <= MOST_A_MINUTE
    }

    fn report(&self, event: &Event<'_>, now: OffsetDateTime) -> Report<'static> {
        let mut fields = Fields { scrubber: &self.scrubber, found: Map::new() };
        event.record(&mut fields);
        let mut extra = fields.found;
        let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
        let message = text(extra.remove("message"));
        let mut report = Report {
            event_id: new_id(&*self.clock, &*self.randomness),
            timestamp: now.into(),
            level: Severity::Error,
            logger: Some(event.metadata().target().to_owned()),
            ..Report::default()
        };
        match text(extra.remove("panic")) {
            Some(panic) => {
                let value = Some(panic);
                report.exception =
                    vec![Exception { ty: "panic".to_owned(), value, ..Exception::default() }].into();
            }
            None => report.message = message,
        }
        report.extra = extra;
        Line::current(|line| report.tags.extend(line.said().map(|(name, value)| (name.to_owned(), value))));
        report.transaction = report.tags.get("route").cloned();
        request::with_current(|context| {
            report.tags.insert("request_id".to_owned(), (*context.request_id).to_owned());
            report.tags.insert("trace_id".to_owned(), context.trace.trace_id());
            if let (Ok(trace_id), Ok(span_id)) =
                (context.trace.trace_id().parse(), context.trace.span_id().parse())
            {
                let trace = TraceContext { trace_id, span_id, ..TraceContext::default() };
                report.contexts.insert("trace".to_owned(), Told::Trace(Box::new(trace)));
            }
        });
        report
    }
}

impl<S: Subscriber> Layer<S> for ErrorReports {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        let now = self.clock.now();
        if self.is_within_bounds(now) {
            self.client.capture_event(self.report(event, now), None);
        } else {
            self.dropped.inc();
        }
    }
}

/// The fields of an event, as they may leave: without secrets, not longer than a person reads, and without the queries of
/// URLs and paths, in which anything can stand.
struct Fields<'a> {
    scrubber: &'a Scrubber,
    found: Map<String, Value>,
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.found.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let clean = without_queries(&self.scrubber.field(field.name(), value));
        let end = clean.floor_char_boundary(LONGEST);
        self.put(field, &clean[..end]);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn without_queries(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let (path, query) = word.split_once('?').unwrap_or((word, ""));
        clean.push_str(path);
        if path.contains('/') {
            let rest = query
                .trim_start_matches(|each: char| !each.is_whitespace() && !matches!(each, '"' | '\'' | ')'));
            clean.push_str(rest);
        } else {
            clean.push_str(&word[path.len()..]);
        }
    }
    clean
}
