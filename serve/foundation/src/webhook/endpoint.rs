//! Endpoints and their secrets. Everything here runs in a transaction whose `app.organization` is the endpoint's.

use std::time::Duration;

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::sign::WebhookSecret;
use crate::clock::{Clock, Randomness, new_id};
use crate::seal::{KeyRing, SealError, Sealed};

const INSERT: &str = "\
    INSERT INTO webhook_endpoints (id, organization_id, url, description, events) VALUES ($1, $2, $3, $4, $5)";
const ADD_SECRET: &str = "\
    INSERT INTO webhook_secrets (id, organization_id, endpoint_id, key_id, sealed) VALUES ($1, $2, $3, $4, $5)";
const RETIRE_SECRETS: &str = "\
    UPDATE webhook_secrets SET expires_at = now() + make_interval(secs => $2) \
    WHERE endpoint_id = $1 AND expires_at IS NULL";
const SECRETS: &str = "\
    SELECT key_id, sealed FROM webhook_secrets \
    WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > now()) ORDER BY created_at DESC, id DESC";
/// A delivery that is still tried is left alone.
const REPLAY: &str = "\
    WITH again AS (\
        UPDATE webhook_deliveries SET state = 'pending' WHERE id = $1 AND state <> 'pending' \
        RETURNING id, organization_id) \
    INSERT INTO jobs (id, queue, kind, organization_id, payload, unique_key, run_at, feed_at, max_attempts) \
    SELECT $2, 'default', 'webhook.deliver', organization_id, jsonb_build_object('delivery', id), id::text, now(), \
           now(), $3 FROM again \
    ON CONFLICT (kind, unique_key) WHERE feed_at IS NOT NULL DO NOTHING";

/// Why an endpoint or its secret could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// PostgreSQL refused or was not there.
    #[error("changing a webhook's endpoint: {0}")]
    Database(#[from] tokio_postgres::Error),
    /// The secret could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What was opened is no secret.
    #[error(transparent)]
    Secret(#[from] super::sign::BadSecret),
}

/// An endpoint to be made. Its URL was vetted by [`super::client::Client::vet`].
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// Whose.
    pub organization_id: Uuid,
    /// Where to.
    pub url: String,
    /// For its people.
    pub description: String,
    /// Types of events; none means all.
    pub events: Vec<String>,
}

/// Makes identifiers and secrets, and seals them.
#[derive(Debug, Clone, Copy)]
pub struct Maker<'a> {
    /// Seals secrets.
    pub keys: &'a KeyRing,
    /// For identifiers.
    pub clock: &'a dyn Clock,
    /// For identifiers and secrets.
    pub randomness: &'a dyn Randomness,
}

impl Maker<'_> {
    /// Makes an endpoint; its secret is to be shown once.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn create(
        &self,
        client: &impl GenericClient,
        new: &NewEndpoint,
    ) -> Result<(Uuid, WebhookSecret), EndpointError> {
        let id = new_id(self.clock, self.randomness);
        let statement = client.prepare_cached(INSERT).await?;
        client
            .execute(&statement, &[&id, &new.organization_id, &new.url, &new.description, &new.events])
            .await?;
        Ok((id, self.add_secret(client, new.organization_id, id).await?))
    }

    /// Makes a new secret; the old ones sign beside it for as long as `overlap`.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn rotate(
        &self,
        client: &impl GenericClient,
        organization_id: Uuid,
        endpoint_id: Uuid,
        overlap: Duration,
    ) -> Result<WebhookSecret, EndpointError> {
        let statement = client.prepare_cached(RETIRE_SECRETS).await?;
        client.execute(&statement, &[&endpoint_id, &overlap.as_secs_f64()]).await?;
        self.add_secret(client, organization_id, endpoint_id).await
    }

    /// Delivers again what was delivered or given up: the same message with the same id. False when there is no such
    /// delivery or it is being tried.
    ///
    /// # Errors
    /// When PostgreSQL cannot be asked.
    pub async fn replay(
        &self,
        client: &impl GenericClient,
        delivery_id: Uuid,
    ) -> Result<bool, tokio_postgres::Error> {
        let statement = client.prepare_cached(REPLAY).await?;
        let job = new_id(self.clock, self.randomness);
        Ok(client.execute(&statement, &[&delivery_id, &job, &super::deliver::ATTEMPTS]).await? == 1)
    }

    async fn add_secret(
        &self,
        client: &impl GenericClient,
        organization_id: Uuid,
        endpoint_id: Uuid,
    ) -> Result<WebhookSecret, EndpointError> {
        let secret = WebhookSecret::new(self.randomness);
        let sealed = self.keys.seal(secret.bytes(), endpoint_id.as_bytes(), self.randomness)?;
        let id = new_id(self.clock, self.randomness);
        let statement = client.prepare_cached(ADD_SECRET).await?;
        client
            .execute(&statement, &[&id, &organization_id, &endpoint_id, &sealed.key_id, &sealed.bytes])
            .await?;
        Ok(secret)
    }
}

/// The secrets that sign now, the newest first.
pub(super) async fn secrets(
    client: &impl GenericClient,
    keys: &KeyRing,
    endpoint_id: Uuid,
) -> Result<Vec<WebhookSecret>, EndpointError> {
    let statement = client.prepare_cached(SECRETS).await?;
    let mut secrets = Vec::new();
    for row in client.query(&statement, &[&endpoint_id]).await? {
        let sealed = Sealed { key_id: row.get(0), bytes: row.get(1) };
        secrets.push(WebhookSecret::from_bytes(keys.open(&sealed, endpoint_id.as_bytes())?)?);
    }
    Ok(secrets)
}
