//! What happened, told to the organization's webhooks: written with the effect, sent after its commit.

use foundation::problem::{Problem, codes};
use foundation::webhook::event::{DISABLED, Event, TEST};
use foundation::write::Unit;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// Every type of event, with what it says; an endpoint names those that it wants.
pub const TYPES: &[(&str, &str)] = &[
    ("project.created", "A project was made or restored."),
    ("project.updated", "A project was changed."),
    ("project.deleted", "A project was deleted."),
    ("task.created", "A task was made or restored."),
    ("task.updated", "A task was changed."),
    ("task.deleted", "A task was deleted."),
    (DISABLED, "A webhook was disabled, because it is gone or has failed for five days."),
    (TEST, "Somebody tries a webhook. It is sent to that one, whatever it wants."),
];

/// One of the types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventType(&'static str);

impl EventType {
    /// As endpoints name it.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = TYPES.iter().find(|(known, _)| *known == text);
        known.map(|(known, _)| Self(known)).ok_or_else(|| D::Error::custom("this is no type of event"))
    }
}

impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        let about: String = TYPES.iter().map(|(kind, about)| format!("\n- `{kind}`: {about}")).collect();
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(format!("What happened.\n{about}")))
            .enum_values(Some(TYPES.iter().map(|(kind, _)| *kind)))
            .into()
    }
}

impl ToSchema for EventType {}

/// Tells the webhooks of `organization` when the write is committed.
///
/// # Errors
/// A problem where the event cannot be written, which is the server's mistake.
pub fn announce(
    unit: &mut Unit,
    organization: Uuid,
    kind: &'static str,
    data: &impl Serialize,
) -> Result<(), Problem> {
    debug_assert!(TYPES.iter().any(|(known, _)| *known == kind), "{kind} is not documented");
    let mistake = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, kind, "an event cannot be written");
        Problem::new(&codes::INTERNAL)
    };
    let data = serde_json::to_value(data).map_err(|error| mistake(&error))?;
    let event = Event { kind: kind.to_owned(), timestamp: unit.now(), data };
    let job = event.job(organization, unit.clock(), unit.randomness()).map_err(|error| mistake(&error))?;
    unit.enqueue(job);
    Ok(())
}
