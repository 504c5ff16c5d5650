//! Forward-only migrations, embedded in the binary and applied to PostgreSQL itself, never through the pooler.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::MigrateConfig;
use crate::database::connection_settings;
use crate::tls::{self, TlsError};

/// In order. A migration that has been released is never edited; the next one corrects it.
const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "pings", sql: include_str!("../migrations/0001_pings.sql") }];

/// Held while migrating, so that two deploys at once apply each migration once. The number is arbitrary and ours.
const ADVISORY_LOCK: i64 = 0x6261_7374_6964_6501;
/// Waiting for another migration or for a lock on a table fails after this, rather than queueing all traffic behind it.
const LOCK_LIMIT: Duration = Duration::from_secs(30);

struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The authority's certificate is unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// PostgreSQL could not be reached or logged in to.
    #[error("connecting to PostgreSQL at {address}: {}; nothing was changed", explain(.source))]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the client saw.
        source: tokio_postgres::Error,
    },
    /// A step outside the migrations failed.
    #[error("{doing}: {}; migrations applied before this stay applied, running again continues", explain(.source))]
    Failed {
        /// What was attempted.
        doing: String,
        /// What the client saw.
        source: tokio_postgres::Error,
    },
}

/// The driver's own text says only that there was a database error; the reason is one level down.
fn explain(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
        |refusal| format!("{} ({})", refusal.message(), refusal.code().code()),
    )
}

/// The version of the schema that this program expects.
pub fn newest() -> i32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// Brings the schema up to date and returns the names of what was applied.
pub async fn migrate(config: &MigrateConfig) -> Result<Vec<String>, MigrateError> {
    let endpoint = &config.database;
    let connector = MakeRustlsConnect::new(tls::private_client(&config.ca)?);
    let (mut client, connection) =
        connection_settings(endpoint).connect(connector).await.map_err(|source| {
            MigrateError::Unreachable { address: format!("{}:{}", endpoint.host, endpoint.port), source }
        })?;
    // The connection's errors come back through the client's calls; the task ends when the client is dropped.
    tokio::spawn(connection);

    prepare(&client).await?;
    let mut applied = Vec::new();
    for migration in MIGRATIONS {
        if apply(&mut client, migration).await? {
            applied.push(format!("{:04}_{}", migration.version, migration.name));
        }
    }
    if let Some(role) = config.serving_role.as_ref().filter(|role| **role != endpoint.user) {
        grant(&client, role).await?;
    }
    Ok(applied)
}

/// Takes the lock, which ends with the session, and makes sure that there is a place to record what was applied.
async fn prepare(client: &Client) -> Result<(), MigrateError> {
    let limit = LOCK_LIMIT.as_millis();
    client
        .batch_execute(&format!("SET lock_timeout = {limit}; SELECT pg_advisory_lock({ADVISORY_LOCK})"))
        .await
        .map_err(|source| MigrateError::Failed {
            doing: "waiting for another migration to end".to_owned(),
            source,
        })?;
    client
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (
                version integer PRIMARY KEY,
                name text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            )",
        )
        .await
        .map_err(|source| MigrateError::Failed {
            doing: "creating the table schema_migrations".to_owned(),
            source,
        })
}

/// Applies one migration and its record in one transaction; false if it was applied before.
async fn apply(client: &mut Client, migration: &Migration) -> Result<bool, MigrateError> {
    let failed = |source| MigrateError::Failed {
        doing: format!("applying the migration {:04}_{}", migration.version, migration.name),
        source,
    };
    let transaction = client.transaction().await.map_err(failed)?;
    let recorded = transaction
        .execute(
            "INSERT INTO schema_migrations (version, name) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &[&migration.version, &migration.name],
        )
        .await
        .map_err(failed)?;
    if recorded == 0 {
        return Ok(false);
    }
    transaction.batch_execute(migration.sql).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

/// The serving role reads and writes rows; it cannot change the schema or its record.
async fn grant(client: &Client, role: &str) -> Result<(), MigrateError> {
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    client
        .batch_execute(&format!(
            "BEGIN;
             GRANT USAGE ON SCHEMA public TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
             GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};
             REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM {role};
             COMMIT"
        ))
        .await
        .map_err(|source| MigrateError::Failed { doing: format!("granting the tables to {role}"), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_rise_by_one_from_one() {
        let versions: Vec<i32> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        let expected: Vec<i32> = (1..).take(MIGRATIONS.len()).collect();
        assert_eq!(versions, expected);
    }
}
