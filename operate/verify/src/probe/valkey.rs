//! Valkey's protocol.

mod client;

use super::refusal::{Attempt, Ended, Stage, by, settle};
use super::tls::Offer;
use super::wire::Wire;
use super::{ClientCertificate, Hidden, Trust};
use crate::place::ProbeError;
use client::Client;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Connects, logs in and runs commands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Valkey {
    /// Address of the server.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Encryption; none speaks in the clear.
    pub tls: Option<ValkeyTls>,
    /// User and password; without them the commands run as whoever the server takes us for.
    pub login: Option<(String, Hidden)>,
    /// Commands, in order.
    pub commands: Vec<ValkeyCommand>,
    /// Milliseconds for everything.
    pub timeout_ms: u64,
}

impl Valkey {
    /// A connection in the clear, without login and without commands.
    pub fn new(address: IpAddr, port: u16) -> Self {
        Self { address, port, tls: None, login: None, commands: Vec::new(), timeout_ms: 5_000 }
    }

    /// Encrypts, and judges the certificate by `trust` and `server_name`.
    #[must_use]
    pub fn tls(mut self, trust: Trust, server_name: &str) -> Self {
        self.tls = Some(ValkeyTls { trust, server_name: server_name.to_owned(), client: None });
        self
    }

    /// Logs in; a login that fails ends the attempt.
    #[must_use]
    pub fn login(mut self, user: &str, password: impl Into<Hidden>) -> Self {
        self.login = Some((user.to_owned(), password.into()));
        self
    }

    /// Runs a command.
    #[must_use]
    pub fn command(mut self, words: &[&str]) -> Self {
        self.commands.push(ValkeyCommand::Words(words.iter().map(|&word| word.to_owned()).collect()));
        self
    }

    /// Writes `keys` keys, `prefix` and a number, of `value_bytes` random-looking bytes each.
    #[must_use]
    pub fn fill(mut self, prefix: &str, keys: u32, value_bytes: u32) -> Self {
        self.commands.push(ValkeyCommand::Fill { prefix: prefix.to_owned(), keys, value_bytes });
        self
    }
}

/// Encryption towards Valkey.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ValkeyTls {
    /// By which authorities the certificate is judged.
    pub trust: Trust,
    /// Name that it must be for.
    pub server_name: String,
    /// Certificate that the client shows when asked.
    pub client: Option<ClientCertificate>,
}

/// A command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValkeyCommand {
    /// The command and its arguments.
    Words(Vec<String>),
    /// Many writes, until done or refused: what memory pressure is made of. Every key expires after a minute.
    Fill {
        /// Beginning of each key.
        prefix: String,
        /// How many keys.
        keys: u32,
        /// Length of each value.
        value_bytes: u32,
    },
}

/// What the server said after the connection, and the login if there was one, succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValkeySession {
    /// One reply a command.
    pub replies: Vec<Reply>,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// A status, such as `OK`.
    Status(String),
    /// An error, such as `NOPERM …`.
    Error(String),
    /// A number.
    Integer(i64),
    /// Text.
    Text(String),
    /// Nothing.
    Nil,
    /// Several replies.
    List(Vec<Reply>),
    /// What became of many writes.
    Filled {
        /// Keys written.
        written: u32,
        /// The error that ended the writing, if one did.
        refused: Option<String>,
    },
}

impl Reply {
    /// The text of a status or text reply.
    pub fn text(&self) -> Option<&str> {
        match self {
            Reply::Status(text) | Reply::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The error.
    pub fn error(&self) -> Option<&str> {
        match self {
            Reply::Error(text) => Some(text),
            _ => None,
        }
    }
}

impl Valkey {
    pub(super) async fn execute(self) -> Result<Attempt<ValkeySession>, ProbeError> {
        settle(self.attempt().await)
    }

    async fn attempt(&self) -> Result<ValkeySession, Ended> {
        let deadline = Instant::now() + Duration::from_millis(self.timeout_ms);
        let offer = self.tls.as_ref().map(|tls| Offer {
            server_name: &tls.server_name,
            trust: &tls.trust,
            only: None,
            alpn: &[],
            client: tls.client.as_ref(),
        });
        let wire = Wire::open(SocketAddr::new(self.address, self.port), offer.as_ref(), deadline).await?;
        by(deadline, Stage::Protocol, self.converse(Client::new(wire.stream))).await
    }

    async fn converse(&self, mut client: Client) -> Result<ValkeySession, Ended> {
        if let Some((user, password)) = &self.login
            && let Reply::Error(error) = client.run(&["AUTH", user, password.reveal()]).await?
        {
            return Err(Ended::refused(Stage::Authentication, error));
        }
        let mut replies = Vec::new();
        for command in &self.commands {
            replies.push(match command {
                ValkeyCommand::Words(words) => {
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    client.run(&words).await?
                }
                ValkeyCommand::Fill { prefix, keys, value_bytes } => {
                    client.fill(prefix, *keys, *value_bytes).await?
                }
            });
        }
        Ok(ValkeySession { replies })
    }
}

#[cfg(test)]
mod tests;
