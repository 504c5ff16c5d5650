//! PostgreSQL through PgBouncer in transaction mode: named, cached statements, and no session state.
//!
//! Statements that are not named would be prepared and run on different server connections, and answer with somebody
//! else's rows. So every statement goes through `prepare_cached`, and what belongs together goes into a transaction.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::environment::{DatabaseEndpoint, PrivateCa};
use crate::problem::{Problem, codes, unavailable};
use crate::tls::{self, TlsError};

/// Client connections to PgBouncer. PgBouncer multiplexes them onto fewer server connections.
const POOL_SIZE: usize = 16;
/// A connection that is not there after this long will not be in time for the request.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// One statement, including the wait for a server connection in PgBouncer.
const STATEMENT_LIMIT: Duration = Duration::from_secs(2);
/// After this long without an acknowledgement the peer is gone, however quietly.
const PEER_LIMIT: Duration = Duration::from_secs(5);

const SCHEMA_VERSION: &str = "SELECT coalesce(max(version), 0) FROM schema_migrations";

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No connection could be had from the pool or PgBouncer.
    #[error("connecting to PostgreSQL through PgBouncer: {0}")]
    Unreachable(#[from] deadpool_postgres::PoolError),
    /// The connection broke or the server is shutting down; a later request may succeed.
    #[error("asking PostgreSQL through PgBouncer: the connection broke: {0}")]
    Broken(tokio_postgres::Error),
    /// No answer within the limit.
    #[error("asking PostgreSQL through PgBouncer: no answer within {} s", STATEMENT_LIMIT.as_secs())]
    Late,
    /// The server refused the statement.
    #[error("asking PostgreSQL through PgBouncer: {0:?}")]
    Refused(tokio_postgres::Error),
    /// The schema is older than this program.
    #[error("the schema is at version {found}, this program needs {needed}; run `app migrate`")]
    SchemaBehind {
        /// Highest applied migration.
        found: i32,
        /// Highest migration this program brings.
        needed: i32,
    },
}

impl DatabaseError {
    /// Whether the same request can succeed later without anybody changing the program.
    pub fn passes(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        // 08 connection, 53 resources, 57 operator intervention: the server's state, not the statement.
        // PgBouncer says 08P01 for everything of its own, and 58000 when it cannot log in.
        let passing = error
            .code()
            .is_none_or(|state| ["08", "53", "57", "58"].iter().any(|class| state.code().starts_with(class)));
        if passing { Self::Broken(error) } else { Self::Refused(error) }
    }
}

/// The pool of connections to PgBouncer.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
}

impl Database {
    /// Prepares the pool; the first request opens the first connection.
    ///
    /// # Errors
    /// When the authority's certificates are unusable.
    pub fn new(endpoint: &DatabaseEndpoint, ca: &PrivateCa) -> Result<Self, TlsError> {
        let manager = Manager::from_config(
            connection_settings(endpoint),
            MakeRustlsConnect::new(tls::private_client(ca)?),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(POOL_SIZE)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(STATEMENT_LIMIT),
                create: Some(STATEMENT_LIMIT),
                recycle: Some(CONNECT_LIMIT),
            })
            .build()
            .expect("a runtime is named, which is all that building a pool with timeouts asks");
        Ok(Self { pool })
    }

    /// A connection, for a transaction. It goes back to the pool when it is dropped.
    ///
    /// # Errors
    /// [`DatabaseError::Unreachable`].
    pub async fn connection(&self) -> Result<Object, DatabaseError> {
        Ok(self.pool.get().await?)
    }

    /// Runs one exchange of statements.
    ///
    /// # Errors
    /// Every variant of [`DatabaseError`] but the one about the schema.
    pub async fn ask<T>(
        &self,
        exchange: impl AsyncFnOnce(&Object) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, DatabaseError> {
        within_limit(self.connection().await?, exchange).await
    }

    /// Whether the database answers and has a schema of version `needed` or newer.
    ///
    /// # Errors
    /// Every variant of [`DatabaseError`].
    pub async fn check(&self, needed: i32) -> Result<(), DatabaseError> {
        let found: i32 = self
            .ask(async |client| {
                let statement = client.prepare_cached(SCHEMA_VERSION).await?;
                Ok(client.query_one(&statement, &[]).await?.get(0))
            })
            .await?;
        if found < needed { Err(DatabaseError::SchemaBehind { found, needed }) } else { Ok(()) }
    }

    /// How many connections there are, and how many of them nobody uses.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        let status = self.pool.status();
        Occupancy { connections: status.size, idle: status.available, waiting: status.waiting }
    }
}

/// How busy the pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Connections to PgBouncer.
    pub connections: usize,
    /// Those that nobody uses.
    pub idle: usize,
    /// Requests that wait for one.
    pub waiting: usize,
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        tracing::error!(%error, store = "database", "a request failed");
        if error.passes() {
            unavailable("The database does not answer.")
        } else {
            Self::new(&codes::INTERNAL)
        }
    }
}

/// How every connection to PostgreSQL or PgBouncer is made: TLS always, and a silent peer is noticed.
pub fn connection_settings(endpoint: &DatabaseEndpoint) -> tokio_postgres::Config {
    let mut settings = tokio_postgres::Config::new();
    settings
        .host(&endpoint.host)
        .port(endpoint.port)
        .user(&endpoint.user)
        .password(endpoint.password.expose())
        .dbname(&endpoint.database)
        .application_name("app")
        .ssl_mode(SslMode::Require)
        .connect_timeout(CONNECT_LIMIT)
        .tcp_user_timeout(PEER_LIMIT)
        .keepalives_idle(PEER_LIMIT);
    settings
}

/// Runs one exchange. A connection that was late is not given back to the pool: its next answer would be late as well.
async fn within_limit<T>(
    client: Object,
    exchange: impl AsyncFnOnce(&Object) -> Result<T, tokio_postgres::Error>,
) -> Result<T, DatabaseError> {
    let outcome = in_time(exchange(&client)).await;
    if matches!(outcome, Err(DatabaseError::Late)) {
        drop(Object::take(client));
    }
    outcome
}

/// What `work` comes to within the limit of a statement.
///
/// # Errors
/// [`DatabaseError::Late`], and what the server says.
pub(crate) async fn in_time<T>(
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, DatabaseError> {
    match tokio::time::timeout(STATEMENT_LIMIT, work).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(DatabaseError::Late),
    }
}
