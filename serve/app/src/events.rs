//! What happened, told to the organization's webhooks: written with the effect, sent after its commit.

use foundation::problem::{Problem, codes};
use foundation::webhook::event::Event;
use foundation::write::Unit;
use serde::Serialize;
use uuid::Uuid;

/// Every type of event, with what it says; an endpoint names those that it wants.
pub const TYPES: &[(&str, &str)] = &[
    ("project.created", "A project was made or restored."),
    ("project.updated", "A project was changed."),
    ("project.deleted", "A project was deleted."),
    ("task.created", "A task was made or restored."),
    ("task.updated", "A task was changed."),
    ("task.deleted", "A task was deleted."),
];

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
