//! Endpoints and their secrets, changed within a write of the endpoint's organization.

use std::time::Duration;

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::sign::WebhookSecret;
use crate::problem::{Problem, codes};
use crate::seal::{KeyRing, SealError, Sealed};
use crate::write::Unit;

/// Secrets that sign at once. An endpoint that changes its secret again and again has no more.
const MOST_SECRETS: i64 = 3;

const INSERT: &str = "\
    INSERT INTO webhook_endpoints (id, organization_id, url, description, events, created_at, created_by, updated_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $6)";
const ADD_SECRET: &str = "\
    INSERT INTO webhook_secrets (id, organization_id, endpoint_id, key_id, sealed) VALUES ($1, $2, $3, $4, $5)";
/// The one that is current now signs for a while; of those before, the latest.
const RETIRE_SECRETS: &str = "\
    WITH kept AS (\
        SELECT id FROM webhook_secrets WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > now()) \
        ORDER BY created_at DESC, id DESC LIMIT $3), \
    removed AS (DELETE FROM webhook_secrets WHERE endpoint_id = $1 AND id NOT IN (SELECT id FROM kept)) \
    UPDATE webhook_secrets SET expires_at = now() + make_interval(secs => $2) \
    WHERE endpoint_id = $1 AND expires_at IS NULL";
const SECRETS: &str = "\
    SELECT key_id, sealed FROM webhook_secrets \
    WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > now()) ORDER BY created_at DESC, id DESC LIMIT $2";

/// Why the secrets of an endpoint cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// PostgreSQL refused or was not there.
    #[error("reading a webhook's secrets: {0}")]
    Database(#[from] tokio_postgres::Error),
    /// One of them cannot be opened.
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
    /// Who makes it.
    pub created_by: Uuid,
}

/// Makes an endpoint; its secret is to be shown once.
///
/// # Errors
/// A problem of the database.
pub async fn create(
    unit: &mut Unit,
    keys: &KeyRing,
    new: &NewEndpoint,
) -> Result<(Uuid, WebhookSecret), Problem> {
    let (id, now) = (unit.new_id(), unit.now());
    unit.transaction
        .query(
            INSERT,
            &[&id, &new.organization_id, &new.url, &new.description, &new.events, &now, &new.created_by],
        )
        .await?;
    Ok((id, add_secret(unit, keys, new.organization_id, id)?))
}

/// Makes a new secret; the one before signs beside it for as long as `overlap`.
///
/// # Errors
/// A problem of the database.
pub async fn rotate(
    unit: &mut Unit,
    keys: &KeyRing,
    organization_id: Uuid,
    endpoint_id: Uuid,
    overlap: Duration,
) -> Result<WebhookSecret, Problem> {
    let retired = MOST_SECRETS - 1;
    unit.transaction.query(RETIRE_SECRETS, &[&endpoint_id, &overlap.as_secs_f64(), &retired]).await?;
    add_secret(unit, keys, organization_id, endpoint_id)
}

fn add_secret(
    unit: &mut Unit,
    keys: &KeyRing,
    organization_id: Uuid,
    endpoint_id: Uuid,
) -> Result<WebhookSecret, Problem> {
    let secret = WebhookSecret::new(unit.randomness());
    let sealed = keys.seal(secret.bytes(), endpoint_id.as_bytes(), unit.randomness()).map_err(|error| {
        tracing::error!(%error, "a webhook's secret cannot be sealed");
        Problem::new(&codes::INTERNAL)
    })?;
    let id = unit.new_id();
    unit.transaction.later(
        ADD_SECRET,
        vec![
            Box::new(id),
            Box::new(organization_id),
            Box::new(endpoint_id),
            Box::new(sealed.key_id),
            Box::new(sealed.bytes),
        ],
    );
    Ok(secret)
}

/// The secrets that sign now, the newest first.
pub(super) async fn secrets(
    client: &impl GenericClient,
    keys: &KeyRing,
    endpoint_id: Uuid,
) -> Result<Vec<WebhookSecret>, SecretsError> {
    let statement = client.prepare_cached(SECRETS).await?;
    let mut secrets = Vec::new();
    for row in client.query(&statement, &[&endpoint_id, &MOST_SECRETS]).await? {
        let sealed = Sealed { key_id: row.get(0), bytes: row.get(1) };
        secrets.push(WebhookSecret::from_bytes(keys.open(&sealed, endpoint_id.as_bytes())?)?);
    }
    Ok(secrets)
}
