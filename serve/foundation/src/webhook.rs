//! Webhooks as Standard Webhooks 1.0.0 has them: signed, tried again, delivered to public addresses and nowhere else.
//!
//! An [`event::Event`] is written with its effect as one job. [`event::Dispatch`] makes a delivery for each endpoint
//! that wants it, and [`deliver::Deliver`] delivers; a worker needs both handlers.

pub mod address;
pub mod client;
pub mod deliver;
pub mod delivery;
pub mod endpoint;
pub mod event;
pub mod resolve;
pub mod sign;
pub mod sweep;

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use crate::request;
use crate::write::transaction;

/// The tables of endpoints and deliveries.
pub const MIGRATION: &str = include_str!("../migrations/webhooks.sql");

/// Lets the rest of a transaction see one organization's rows, in the name of the request that the work follows from.
async fn enter(client: &impl GenericClient, organization: Uuid) -> Result<(), tokio_postgres::Error> {
    let statement = client.prepare_cached(transaction::CONTEXT).await?;
    let request_id = request::current().map(|context| context.request_id);
    let name = transaction::name(request_id.as_deref().unwrap_or("webhook"));
    client.query_one(&statement, &[&organization.to_string(), &name]).await?;
    Ok(())
}
