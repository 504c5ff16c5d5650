//! Log lines as JSON, one object a line, with fixed names and without secrets.

use std::fmt::Debug;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, Layered, SubscriberExt as _};

use super::Scrubber;
use super::sentry::ErrorReports;
use crate::clock::Clock;
use crate::request;

/// Writes every event from level info as a JSON line: `timestamp`, `level`, `message`, `trace_id` and `request_id` of
/// the request that the task works for, and the event's own fields.
pub struct JsonLines<W> {
    clock: Arc<dyn Clock>,
    scrubber: Scrubber,
    writer: Mutex<W>,
}

impl<W: Write + Send + 'static> JsonLines<W> {
    /// Lines to `writer`.
    pub fn new(clock: Arc<dyn Clock>, scrubber: Scrubber, writer: W) -> Self {
        Self { clock, scrubber, writer: Mutex::new(writer) }
    }

    /// As something that can be the default of the process or of a thread.
    pub fn subscriber(self) -> Layered<Self, tracing_subscriber::Registry> {
        tracing_subscriber::registry().with(self)
    }

    /// Makes this the log of the process, for panics too. Errors are also reported, where there is a tracker.
    ///
    /// # Errors
    /// The process has a log already.
    pub fn install(
        self,
        reports: Option<ErrorReports>,
    ) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
        tracing::subscriber::set_global_default(self.subscriber().with(reports))?;
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            tracing::error!(place, panic = panic.payload_as_str(), "a thread panicked");
        }));
        Ok(())
    }
}

impl<W: Write + Send + 'static, S: Subscriber> Layer<S> for JsonLines<W> {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::begin(&self.scrubber);
        line.put("timestamp", &self.clock.now().format(&Rfc3339).unwrap_or_default());
        line.put("level", name(*event.metadata().level()));
        line.in_request = request::with_current(|context| {
            line.put("trace_id", &context.trace.trace_id());
            line.put("request_id", &*context.request_id);
        })
        .is_some();
        event.record(&mut line);
        // A log that cannot be written has nowhere to say so.
        let _ = self.writer.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line.end());
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// A line that is being written. Every request has one, so it is put together without a tree in between.
struct Line<'a> {
    scrubber: &'a Scrubber,
    text: Vec<u8>,
    in_request: bool,
}

impl<'a> Line<'a> {
    fn begin(scrubber: &'a Scrubber) -> Self {
        let mut text = Vec::with_capacity(512);
        text.push(b'{');
        Self { scrubber, text, in_request: false }
    }

    fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        self.write(name);
        self.text.push(b':');
        self.write(value);
    }

    fn write<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.text, value)
            .expect("texts and numbers are JSON, and memory takes them");
    }

    fn end(mut self) -> Vec<u8> {
        self.text.extend_from_slice(b"}\n");
        self.text
    }

    /// What an event says itself. Fields with a fixed meaning cannot be taken by it.
    fn field<T: Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        let taken = match field.name() {
            "timestamp" | "level" => true,
            "trace_id" | "request_id" => self.in_request,
            _ => false,
        };
        if !taken {
            self.put(field.name(), value);
        }
    }
}

impl Visit for Line<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, &*self.scrubber.field(field.name(), value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
