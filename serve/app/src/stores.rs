//! The three places the application keeps things, and whether they answer.

use std::sync::Arc;
use std::time::Duration;

use foundation::database::Database;
use foundation::health::Health;
use foundation::telemetry::Metrics;
use foundation::tls::TlsError;
use foundation::valkey::{Counts, Valkey, ValkeyError};
use redis::RedisError;

use crate::config::ServeConfig;
use crate::schema;

/// Longer than the clients take to give up by themselves, shorter than whoever asks for readiness waits.
const CHECK_LIMIT: Duration = Duration::from_millis(2_500);

/// PostgreSQL through PgBouncer and both Valkeys.
#[derive(Debug)]
pub struct Stores {
    /// PostgreSQL through PgBouncer: the source of truth.
    pub database: Database,
    /// The Valkey that never evicts.
    pub durable: Arc<Valkey>,
    /// The Valkey that may forget.
    pub cache: Arc<Valkey>,
}

/// Why the clients could not be prepared. Servers that are down are no reason.
#[derive(Debug, thiserror::Error)]
pub enum StoresError {
    /// The authority's certificate is unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The Valkey client refused its settings.
    #[error("preparing the Valkey clients: {0}")]
    Valkey(#[from] RedisError),
}

impl Stores {
    /// Prepares the clients; nothing is connected until something is asked.
    pub fn new(config: &ServeConfig, metrics: &Metrics) -> Result<Self, StoresError> {
        let counts = Counts::default();
        metrics.register(|registry| counts.register(registry));
        Ok(Self {
            database: Database::new(&config.database, &config.ca)?,
            durable: Arc::new(Valkey::new("durable", &config.durable, &config.ca)?.counting(&counts)),
            cache: Arc::new(Valkey::new("cache", &config.cache, &config.ca)?.counting(&counts)),
        })
    }

    /// All three, to be asked for readiness: PostgreSQL must have the schema of this program.
    pub fn health(&self, metrics: &Metrics) -> Health {
        let (database, durable, cache) = (self.database.clone(), self.durable.clone(), self.cache.clone());
        Health::new(metrics)
            .check("database", CHECK_LIMIT, move || {
                let database = database.clone();
                async move { database.check(schema::newest()).await }
            })
            .check("durable", CHECK_LIMIT, move || check(durable.clone()))
            .check("cache", CHECK_LIMIT, move || check(cache.clone()))
    }
}

async fn check(valkey: Arc<Valkey>) -> Result<(), ValkeyError> {
    valkey.check().await
}
