//! PostgreSQL's protocol, towards PostgreSQL and PgBouncer.

mod client;

use super::refusal::{Attempt, Ended, Stage, by, settle};
use super::tls::{Offer, handshake};
use super::wire::{Duplex, ask_postgres_for_tls, dial};
use super::{Hidden, Trust};
use crate::place::ProbeError;
use client::Client;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Logs in, once or several times at once, and runs queries in each connection.
///
/// All connections are open before the first query runs, and they run theirs at the same time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Postgres {
    /// Address of the server.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Role to log in as.
    pub user: String,
    /// Its password; without one, the attempt ends where the server asks for it, and says what it asked for.
    pub password: Option<Hidden>,
    /// Database.
    pub database: String,
    /// Whether and how the connection is encrypted.
    pub tls: PostgresTls,
    /// What each connection runs, in order.
    pub queries: Vec<Query>,
    /// How many connections are open at the same time.
    pub connections: u32,
    /// Milliseconds for everything.
    pub timeout_ms: u64,
}

impl Postgres {
    /// One connection as `user` to `database`, without a password and without queries.
    pub fn new(address: IpAddr, port: u16, user: &str, database: &str, tls: PostgresTls) -> Self {
        Self {
            address,
            port,
            user: user.to_owned(),
            password: None,
            database: database.to_owned(),
            tls,
            queries: Vec::new(),
            connections: 1,
            timeout_ms: 5_000,
        }
    }

    /// Logs in with `password`.
    #[must_use]
    pub fn password(mut self, password: impl Into<Hidden>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Runs `sql` by the simple protocol.
    #[must_use]
    pub fn query(mut self, sql: &str) -> Self {
        self.queries.push(Query { sql: sql.to_owned(), parameters: None, repeat: 1 });
        self
    }

    /// Prepares `sql` under a name and executes it `repeat` times with these parameters.
    #[must_use]
    pub fn prepared(mut self, sql: &str, parameters: &[&str], repeat: u32) -> Self {
        let parameters = parameters.iter().map(|&text| text.to_owned()).collect();
        self.queries.push(Query { sql: sql.to_owned(), parameters: Some(parameters), repeat });
        self
    }

    /// Opens so many connections at the same time.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }
}

/// Whether and how a connection to PostgreSQL is encrypted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PostgresTls {
    /// Not at all.
    Plain,
    /// By TLS, with this trust and this name in the certificate.
    Tls {
        /// By which authorities the certificate is judged.
        trust: Trust,
        /// Name that it must be for.
        server_name: String,
    },
}

/// One statement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Query {
    /// SQL text.
    pub sql: String,
    /// With parameters, even an empty list: a named prepared statement. Without: the simple protocol.
    pub parameters: Option<Vec<String>>,
    /// How often it is executed; a prepared statement is prepared once. `{connection}` in a parameter stands for
    /// the number of the connection, from 0.
    pub repeat: u32,
}

/// How a server wants clients to prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authentication {
    /// Not at all.
    Trust,
    /// By the password itself.
    Cleartext,
    /// By an MD5 hash.
    Md5,
    /// By SCRAM-SHA-256.
    Scram,
    /// By something else.
    Other,
}

impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Authentication::Trust => "nothing (trust)",
            Authentication::Cleartext => "a cleartext password",
            Authentication::Md5 => "md5",
            Authentication::Scram => "scram-sha-256",
            Authentication::Other => "another method",
        })
    }
}

/// What a server said after the login succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresSession {
    /// What it asked for.
    pub authentication: Authentication,
    /// Parameters that it announced, such as `server_version`.
    pub parameters: BTreeMap<String, String>,
    /// For each connection, the answer to each execution, in order.
    pub answers: Vec<Vec<Answer>>,
}

impl PostgresSession {
    /// The single value that the `n`th execution of the first connection returned.
    pub fn value(&self, n: usize) -> Option<&str> {
        match self.answers.first()?.get(n)? {
            Answer::Rows(rows) => rows.first()?.first()?.as_deref(),
            Answer::Error { .. } => None,
        }
    }

    /// The first error that any execution ended in: SQLSTATE and message.
    pub fn error(&self) -> Option<(&str, &str)> {
        self.answers.iter().flatten().find_map(|answer| match answer {
            Answer::Error { code, message } => Some((code.as_str(), message.as_str())),
            Answer::Rows(_) => None,
        })
    }
}

/// What an execution returned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Rows of values in their text form.
    Rows(Vec<Vec<Option<String>>>),
    /// An error of the server.
    Error {
        /// SQLSTATE.
        code: String,
        /// Its message.
        message: String,
    },
}

impl Postgres {
    pub(super) async fn execute(self) -> Result<Attempt<PostgresSession>, ProbeError> {
        settle(self.attempt().await)
    }

    async fn attempt(&self) -> Result<PostgresSession, Ended> {
        let deadline = Instant::now() + Duration::from_millis(self.timeout_ms);
        let opening = (0..self.connections.max(1)).map(|_| self.open(deadline));
        let mut clients = try_join_all(opening).await?;
        let running =
            clients.iter_mut().zip(0..).map(|(client, connection)| self.converse(client, connection));
        let answers = by(deadline, Stage::Protocol, try_join_all(running)).await?;
        // There is always a first one.
        let first = clients.swap_remove(0);
        Ok(PostgresSession { authentication: first.authentication, parameters: first.parameters, answers })
    }

    async fn open(&self, deadline: Instant) -> Result<Client, Ended> {
        let mut stream = dial(SocketAddr::new(self.address, self.port), deadline).await?;
        let stream: Box<dyn Duplex> = match &self.tls {
            PostgresTls::Plain => Box::new(stream),
            PostgresTls::Tls { trust, server_name } => {
                let offer = Offer { server_name, trust, only: None, alpn: &[], client: None };
                let shaking = async {
                    ask_postgres_for_tls(&mut stream).await?;
                    handshake(stream, &offer).await
                };
                Box::new(by(deadline, Stage::Tls, shaking).await?.0)
            }
        };
        by(deadline, Stage::Authentication, Client::log_in(stream, self)).await
    }

    async fn converse(&self, client: &mut Client, connection: u32) -> Result<Vec<Answer>, Ended> {
        let mut answers = Vec::new();
        for (n, query) in self.queries.iter().enumerate() {
            answers.extend(client.run(query, connection, n).await?);
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests;
