//! Forward-only migrations, embedded in the binary and applied to PostgreSQL itself, never through the pooler.
//!
//! A migration is SQL. What stands after its line `-- grants` says what the serving role may do; it is run again each
//! time, with `:serving_role` for the role's name, because the role may have been named later than the table.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::database::connection_settings;
use crate::environment::{DatabaseEndpoint, PrivateCa};
use crate::tls::{self, TlsError};

/// Held while migrating, so that two deploys at once apply each migration once. The number is arbitrary and ours.
const ADVISORY_LOCK: i64 = 0x6261_7374_6964_6501;
/// Waiting for another migration or for a lock on a table fails after this, rather than queueing all traffic behind it.
const LOCK_LIMIT: Duration = Duration::from_secs(30);

/// The line after which a migration says what the serving role may do.
const GRANTS: &str = "-- grants\n";

/// A change of the schema. One that has been released is never edited; the next one corrects it.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its place in the order, from 1.
    pub version: i32,
    /// What it brings.
    pub name: &'static str,
    /// The change, and the grants.
    pub sql: &'static str,
}

impl Migration {
    fn change(&self) -> &'static str {
        self.sql.split_once(GRANTS).map_or(self.sql, |(change, _)| change)
    }

    fn grants(&self, role: &str) -> Option<String> {
        self.sql.split_once(GRANTS).map(|(_, grants)| grants.replace(":serving_role", role))
    }
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

/// Brings the schema up to date and returns the names of what was applied.
///
/// `serving_role` is the role to which the rows are granted and the schema is not.
///
/// # Errors
/// Every variant of [`MigrateError`].
pub async fn migrate(
    migrations: &[Migration],
    endpoint: &DatabaseEndpoint,
    ca: &PrivateCa,
    serving_role: Option<&str>,
) -> Result<Vec<String>, MigrateError> {
    let connector = MakeRustlsConnect::new(tls::private_client(ca)?);
    let (mut client, connection) =
        connection_settings(endpoint).connect(connector).await.map_err(|source| {
            MigrateError::Unreachable { address: format!("{}:{}", endpoint.host, endpoint.port), source }
        })?;
    // The connection's errors come back through the client's calls; the task ends when the client is dropped.
    tokio::spawn(connection);

    prepare(&client).await?;
    let mut applied = Vec::new();
    for migration in migrations {
        if apply(&mut client, migration).await? {
            applied.push(format!("{:04}_{}", migration.version, migration.name));
        }
    }
    if let Some(role) = serving_role.filter(|role| *role != endpoint.user) {
        grant(&client, migrations, role).await?;
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
    transaction.batch_execute(migration.change()).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

/// The serving role gets what each migration grants it; it cannot change the schema or its record.
async fn grant(client: &Client, migrations: &[Migration], role: &str) -> Result<(), MigrateError> {
    let quoted = format!("\"{}\"", role.replace('"', "\"\""));
    let mut grants = format!(
        "BEGIN; GRANT USAGE ON SCHEMA public TO {quoted}; GRANT SELECT ON schema_migrations TO {quoted};\n"
    );
    grants.extend(migrations.iter().filter_map(|migration| migration.grants(&quoted)));
    client
        .batch_execute(&format!("{grants}\nCOMMIT"))
        .await
        .map_err(|source| MigrateError::Failed { doing: format!("granting the tables to {role}"), source })
}

/// The version of the schema once all of these are applied.
#[must_use]
pub fn newest(migrations: &[Migration]) -> i32 {
    migrations.last().map_or(0, |migration| migration.version)
}

/// Whether `migrations` are numbered from 1 without a gap: for the test of whoever lists them.
#[must_use]
pub fn are_in_order(migrations: &[Migration]) -> bool {
    migrations.iter().map(|migration| migration.version).eq((1..).take(migrations.len()))
}
