//! The two Valkey instances: one connection each, opened when needed and opened again after it broke.

mod counts;
mod script;

use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSubStream};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, TlsCertificates,
};
use tokio::sync::Mutex;

use crate::environment::{PrivateCa, ValkeyEndpoint};
use crate::problem::{Problem, unavailable};

pub use counts::Counts;
pub use script::Script;

use counts::Outcomes;

/// A connection that is not there after this long will not be in time for the request.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// One command.
const COMMAND_LIMIT: Duration = Duration::from_secs(1);
/// A command with the wait for a connection that others are opening.
const REQUEST_LIMIT: Duration = Duration::from_secs(2);
/// After this long without an acknowledgement the peer is gone, however quietly.
const PEER_LIMIT: Duration = Duration::from_secs(5);

/// Why a Valkey did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ValkeyError {
    /// The connection or the command failed.
    #[error("asking {name} Valkey at {address}: {source}")]
    Failed {
        /// Which of the two.
        name: &'static str,
        /// Host and port.
        address: String,
        /// What the client saw.
        source: RedisError,
    },
    /// No answer within the limit.
    #[error("asking {name} Valkey at {address}: no answer within {} s", REQUEST_LIMIT.as_secs())]
    Late {
        /// Which of the two.
        name: &'static str,
        /// Host and port.
        address: String,
    },
}

/// One Valkey instance. Commands of concurrent requests share its connection.
#[derive(Debug)]
pub struct Valkey {
    name: &'static str,
    address: String,
    client: Client,
    slot: Mutex<Slot>,
    outcomes: Outcomes,
}

/// The connection, and how many there were before it: a request that saw an older one fail must not drop a newer one.
#[derive(Debug, Default)]
struct Slot {
    connection: Option<MultiplexedConnection>,
    generation: u64,
}

impl Valkey {
    /// Prepares the client; the first command opens the connection.
    pub fn new(name: &'static str, endpoint: &ValkeyEndpoint, ca: &PrivateCa) -> Result<Self, RedisError> {
        let address = ConnectionAddr::TcpTls {
            host: endpoint.host.clone(),
            port: endpoint.port,
            insecure: false,
            tls_params: None,
        };
        let user = RedisConnectionInfo::default()
            .set_username(&endpoint.user)
            .set_password(endpoint.password.expose())
            // The ACL user may not name itself, and nobody asks.
            .set_skip_set_lib_name();
        let info = address
            .into_connection_info()?
            .set_redis_settings(user)
            .set_tcp_settings(TcpSettings::default().set_nodelay(true).set_user_timeout(PEER_LIMIT));
        let certificates = TlsCertificates { client_tls: None, root_cert: Some(ca.pem.clone()) };
        Ok(Self {
            name,
            address: format!("{}:{}", endpoint.host, endpoint.port),
            client: Client::build_with_tls(info, certificates)?,
            slot: Mutex::default(),
            outcomes: Outcomes::default(),
        })
    }

    /// Counts its commands there.
    #[must_use]
    pub fn counting(mut self, counts: &Counts) -> Self {
        self.outcomes = counts.of(self.name);
        self
    }

    /// Whether the instance answers to this user.
    pub async fn check(&self) -> Result<(), ValkeyError> {
        self.ask(&redis::cmd("PING")).await
    }

    /// Sends one command and returns its answer.
    ///
    /// # Errors
    /// When the instance cannot be reached, refuses the command or does not answer in time.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, ValkeyError> {
        let outcome = match tokio::time::timeout(REQUEST_LIMIT, self.exchange(command)).await {
            Ok(outcome) => outcome.map_err(|source| ValkeyError::Failed {
                name: self.name,
                address: self.address.clone(),
                source,
            }),
            Err(_) => Err(ValkeyError::Late { name: self.name, address: self.address.clone() }),
        };
        self.outcomes.count(outcome.is_ok());
        outcome
    }

    /// Hears what is published on a channel, over a connection of its own, until that breaks.
    ///
    /// # Errors
    /// When the instance cannot be reached or refuses.
    pub async fn subscribe(&self, channel: &str) -> Result<PubSubStream, ValkeyError> {
        let subscribing = async {
            let mut listener = self.client.get_async_pubsub().await?;
            listener.subscribe(channel).await?;
            Ok(listener.into_on_message())
        };
        match tokio::time::timeout(REQUEST_LIMIT, subscribing).await {
            Ok(outcome) => outcome.map_err(|source| ValkeyError::Failed {
                name: self.name,
                address: self.address.clone(),
                source,
            }),
            Err(_) => Err(ValkeyError::Late { name: self.name, address: self.address.clone() }),
        }
    }

    async fn exchange<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let (mut connection, generation) = self.connection().await?;
        let outcome = command.query_async(&mut connection).await;
        if let Err(error) = &outcome
            && (error.is_unrecoverable_error() || error.is_timeout())
        {
            let mut slot = self.slot.lock().await;
            if slot.generation == generation {
                slot.connection = None;
            }
        }
        outcome
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), RedisError> {
        let mut slot = self.slot.lock().await;
        if let Some(connection) = &slot.connection {
            return Ok((connection.clone(), slot.generation));
        }
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(COMMAND_LIMIT));
        let connection = self.client.get_multiplexed_async_connection_with_config(&limits).await?;
        slot.generation += 1;
        slot.connection = Some(connection.clone());
        Ok((connection, slot.generation))
    }
}

impl From<ValkeyError> for Problem {
    fn from(error: ValkeyError) -> Self {
        tracing::error!(%error, "a request failed");
        unavailable("A key-value store does not answer.")
    }
}
