//! Probes: single attempts with plain data in and plain data out, so that they can be made anywhere.

mod addresses;
mod command;
mod connect;
mod hidden;
mod http;
mod listen_briefly;
mod listening;
mod postgres;
mod refusal;
mod scan;
mod tls;
mod udp;
mod valkey;

pub use addresses::{Addresses, InterfaceAddress};
pub use command::{Command, CommandOutcome};
pub use connect::{Connect, Reach};
pub use hidden::Hidden;
pub use http::{Http, HttpAnswer, HttpVersion};
pub use listen_briefly::{ListenBriefly, Visits};
pub use listening::{Listening, Socket, Transport};
pub use postgres::{Answer, Authentication, Postgres, PostgresSession, PostgresTls, Query};
pub use refusal::{Attempt, Refusal, Stage};
pub use scan::{Scan, Scanned};
pub use tls::{ClientCertificate, Tls, TlsSession, TlsStart, TlsVersion, Trust};
pub use udp::{Datagram, Udp, UdpReach};
pub use valkey::{Reply, Valkey, ValkeyCommand, ValkeySession, ValkeyTls};

use serde::{Deserialize, Serialize};

/// One attempt, to be made at some vantage.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// Opens TCP connections.
    Connect(Connect),
    /// Scans TCP ports of one address.
    Scan(Scan),
    /// Sends datagrams.
    Udp(Udp),
    /// Listens for a while.
    ListenBriefly(ListenBriefly),
    /// Lists listening sockets.
    Listening(Listening),
    /// Lists interface addresses.
    Addresses(Addresses),
    /// Shakes hands in TLS.
    Tls(Tls),
    /// Makes an HTTP request.
    Http(Http),
    /// Speaks to PostgreSQL or PgBouncer.
    Postgres(Postgres),
    /// Speaks to Valkey.
    Valkey(Valkey),
    /// Runs a program.
    Command(Command),
}

/// What a probe found.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// One answer a target.
    Connect(Vec<Reach>),
    /// The ports by what they did.
    Scan(Scanned),
    /// One answer a target.
    Udp(Vec<UdpReach>),
    /// Who came.
    ListenBriefly(Visits),
    /// The sockets.
    Listening(Vec<Socket>),
    /// The addresses.
    Addresses(Vec<InterfaceAddress>),
    /// The session, or who refused it.
    Tls(Attempt<TlsSession>),
    /// The answer, or who refused it.
    Http(Attempt<HttpAnswer>),
    /// The session, or who refused it.
    Postgres(Attempt<PostgresSession>),
    /// The session, or who refused it.
    Valkey(Attempt<ValkeySession>),
    /// What the program printed.
    Command(CommandOutcome),
}

impl Finding {
    /// The kind of probe that finds this, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Finding::Connect(_) => "connect",
            Finding::Scan(_) => "scan",
            Finding::Udp(_) => "udp",
            Finding::ListenBriefly(_) => "listen-briefly",
            Finding::Listening(_) => "listening",
            Finding::Addresses(_) => "addresses",
            Finding::Tls(_) => "tls",
            Finding::Http(_) => "http",
            Finding::Postgres(_) => "postgres",
            Finding::Valkey(_) => "valkey",
            Finding::Command(_) => "command",
        }
    }
}
