//! Deliveries that somebody asks for, beside those that events make: one to try an endpoint, and one again.

use serde::Serialize;
use uuid::Uuid;

use super::deliver::{ATTEMPTS, Deliver};
use super::event::Event;
use crate::jobs::Handler as _;
use crate::outbox::NewJob;
use crate::problem::{Problem, codes};
use crate::write::Unit;

const MESSAGE: &str =
    "INSERT INTO webhook_messages (id, organization_id, type, payload) VALUES ($1, $2, $3, $4)";
const DELIVERY: &str = "\
    INSERT INTO webhook_deliveries (id, organization_id, endpoint_id, message_id, job_id) VALUES ($1, $2, $3, $4, $5)";
const AGAIN: &str = "\
    UPDATE webhook_deliveries SET state = 'pending', job_id = $3 WHERE id = $1 AND organization_id = $2";

#[derive(Serialize)]
struct Payload {
    delivery: Uuid,
}

/// Delivers an event to one endpoint, whatever that wants, and tries it once. Answers with the delivery's identifier.
///
/// # Errors
/// A problem where the event cannot be written, which is the server's mistake, or one of the database.
pub async fn send_once(
    unit: &mut Unit,
    organization: Uuid,
    endpoint: Uuid,
    event: &Event,
) -> Result<Uuid, Problem> {
    let payload = event.payload().map_err(|error| mistake(&error))?;
    let (message, delivery) = (unit.new_id(), unit.new_id());
    let job = deliver(unit, organization, delivery)?.attempts(1);
    unit.transaction.query(MESSAGE, &[&message, &organization, &event.kind, &payload]).await?;
    unit.transaction.query(DELIVERY, &[&delivery, &organization, &endpoint, &message, &job.id]).await?;
    unit.enqueue(job);
    Ok(delivery)
}

/// Delivers again, with all attempts: the same message with the same id. The caller has locked the delivery, which is
/// one of the organization and is not being tried.
///
/// # Errors
/// A problem of the database.
pub async fn replay(unit: &mut Unit, organization: Uuid, delivery: Uuid) -> Result<(), Problem> {
    let job = deliver(unit, organization, delivery)?.attempts(ATTEMPTS);
    unit.transaction.query(AGAIN, &[&delivery, &organization, &job.id]).await?;
    unit.enqueue(job);
    Ok(())
}

fn deliver(unit: &Unit, organization: Uuid, delivery: Uuid) -> Result<NewJob, Problem> {
    let job = NewJob::new(Deliver::KIND, &Payload { delivery }, unit.clock(), unit.randomness());
    job.map(|job| job.organization(organization)).map_err(|error| mistake(&error))
}

fn mistake(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "an event cannot be written");
    Problem::new(&codes::INTERNAL)
}
