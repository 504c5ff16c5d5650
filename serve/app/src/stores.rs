//! The three places the application keeps things, and whether they answer.

use redis::RedisError;
use serde::Serialize;

use foundation::database::Database;
use foundation::tls::TlsError;
use foundation::valkey::Valkey;

use crate::config::ServeConfig;
use crate::schema;

/// PostgreSQL through PgBouncer and both Valkeys.
pub struct Stores {
    /// PostgreSQL through PgBouncer: the source of truth.
    pub database: Database,
    /// The Valkey that never evicts.
    pub durable: Valkey,
    /// The Valkey that may forget.
    pub cache: Valkey,
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

/// Which stores answered.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Reached {
    /// PostgreSQL through PgBouncer, with the schema of this program.
    pub database: bool,
    /// The durable Valkey.
    pub durable: bool,
    /// The cache Valkey.
    pub cache: bool,
}

impl Reached {
    /// Whether the application can serve.
    pub fn all(self) -> bool {
        self.named().into_iter().all(|(_, reached)| reached)
    }

    /// Each store's name and whether it answered.
    pub fn named(self) -> [(&'static str, bool); 3] {
        [("database", self.database), ("durable", self.durable), ("cache", self.cache)]
    }

    /// The names of those that did not answer.
    pub fn missing(self) -> Vec<&'static str> {
        self.named().into_iter().filter(|(_, reached)| !reached).map(|(name, _)| name).collect()
    }
}

impl Stores {
    /// Prepares the clients; nothing is connected until something is asked.
    pub fn new(config: &ServeConfig) -> Result<Self, StoresError> {
        Ok(Self {
            database: Database::new(&config.database, &config.ca)?,
            durable: Valkey::new("durable", &config.durable, &config.ca)?,
            cache: Valkey::new("cache", &config.cache, &config.ca)?,
        })
    }

    /// Asks all three at once. The reasons for a failure go to the log, not to the caller.
    pub async fn reach(&self) -> Reached {
        let (database, durable, cache) =
            tokio::join!(self.database.check(schema::newest()), self.durable.check(), self.cache.check());
        if let Err(error) = &database {
            tracing::warn!(%error, store = "database", "a store cannot be used");
        }
        for (store, outcome) in [("durable", &durable), ("cache", &cache)] {
            if let Err(error) = outcome {
                tracing::warn!(%error, store, "a store cannot be used");
            }
        }
        Reached { database: database.is_ok(), durable: durable.is_ok(), cache: cache.is_ok() }
    }
}
