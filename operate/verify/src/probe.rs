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
#[cfg(test)]
mod testing;
mod tls;
mod udp;
mod valkey;
mod wire;

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

use crate::place::{BoxFuture, Place, ProbeError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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

/// Executes a probe in this process, wherever it runs.
pub async fn execute(probe: Probe) -> Result<Finding, ProbeError> {
    Ok(match probe {
        Probe::Connect(probe) => Finding::Connect(probe.execute().await?),
        Probe::Scan(probe) => Finding::Scan(probe.execute().await?),
        Probe::Udp(probe) => Finding::Udp(probe.execute().await?),
        Probe::ListenBriefly(probe) => Finding::ListenBriefly(probe.execute().await?),
        Probe::Listening(probe) => Finding::Listening(probe.execute()?),
        Probe::Addresses(probe) => Finding::Addresses(probe.execute()?),
        Probe::Tls(probe) => Finding::Tls(probe.execute().await?),
        Probe::Http(probe) => Finding::Http(probe.execute().await?),
        Probe::Postgres(probe) => Finding::Postgres(probe.execute().await?),
        Probe::Valkey(probe) => Finding::Valkey(probe.execute().await?),
        Probe::Command(probe) => Finding::Command(probe.execute().await?),
    })
}

/// Answers a probe that came as JSON, in JSON: `{"ok": finding}` or `{"err": …}`.
///
/// The other end of a [`Place`] that carries probes elsewhere; [`finding`] reads the answer.
pub async fn answer(request: Value) -> Value {
    let outcome = match serde_json::from_value::<Probe>(request) {
        Ok(probe) => execute(probe).await,
        Err(error) => Err(ProbeError::broken("reading a probe", error)),
    };
    match outcome {
        Ok(finding) => json!({ "ok": finding }),
        Err(error) => json!({ "err": error }),
    }
}

/// Like [`answer`], for callers without a runtime.
pub fn answer_blocking(request: Value) -> Value {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(answer(request)),
        Err(error) => json!({ "err": ProbeError::broken("starting a runtime for a probe", error) }),
    }
}

/// Reads what [`answer`] wrote.
pub fn finding(answer: Value) -> Result<Finding, ProbeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Outcome {
        Ok(Finding),
        Err(ProbeError),
    }
    match serde_json::from_value(answer) {
        Ok(Outcome::Ok(finding)) => Ok(finding),
        Ok(Outcome::Err(error)) => Err(error),
        Err(error) => Err(ProbeError::broken("reading a finding", error)),
    }
}

/// The place where this process runs.
#[derive(Debug, Clone, Copy)]
pub struct Here;

impl Place for Here {
    fn probe(&self, probe: Probe) -> BoxFuture<'_, Result<Finding, ProbeError>> {
        Box::pin(execute(probe))
    }
}
