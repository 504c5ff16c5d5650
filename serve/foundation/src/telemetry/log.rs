//! Log lines as JSON, one object a line, with fixed names and without secrets.

use std::fmt::Debug;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::Scrubber;
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
    pub fn subscriber(self) -> impl Subscriber + Send + Sync {
        tracing_subscriber::registry().with(self)
    }

    /// Makes this the log of the process, for panics too.
    ///
    /// # Errors
    /// The process has a log already.
    pub fn install(self) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
        tracing::subscriber::set_global_default(self.subscriber())?;
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
        let mut fields = Fields { scrubber: &self.scrubber, fields: Map::new() };
        event.record(&mut fields);
        let mut line = Map::new();
        let timestamp = self.clock.now().format(&Rfc3339).unwrap_or_default();
        line.insert("timestamp".to_owned(), timestamp.into());
        line.insert("level".to_owned(), event.metadata().level().as_str().to_ascii_lowercase().into());
        request::with_current(|context| {
            line.insert("trace_id".to_owned(), context.trace.trace_id().into());
            line.insert("request_id".to_owned(), (*context.request_id).into());
        });
        // Fields with a fixed meaning cannot be taken by an event.
        for (name, value) in fields.fields {
            line.entry(name).or_insert(value);
        }
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        // A log that cannot be written has nowhere to say so.
        let _ = self.writer.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes());
    }
}

struct Fields<'a> {
    scrubber: &'a Scrubber,
    fields: Map<String, Value>,
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }

    fn text(&mut self, field: &Field, text: &str) {
        let value = self.scrubber.field(field.name(), text);
        self.put(field, value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, &format!("{value:?}"));
    }
}
