//! What every program that serves does around its routers: it listens, hears that it is to stop, reaches services outside,
//! and reports errors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::clock::{SystemClock, SystemRandomness};
use crate::http_client::{self, HttpClient};
use crate::request::{Contexts, Edges};
use crate::telemetry::sentry::{Delivery, Dsn, ErrorReports, Tracker};
use crate::telemetry::{Metrics, Scrubber};
use crate::webhook::resolve::NameServers;

/// Somebody waits for what a service outside answers.
const SERVICE_LIMIT: Duration = Duration::from_secs(5);

/// Why a program cannot begin to serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing can listen there.
    #[error(
        "listening on {address}: {source}; is another process on this port, and is the address this host's?"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// It could not be told to stop.
    #[error("preparing to hear signals: {0}")]
    Signals(std::io::Error),
}

/// Listens.
///
/// # Errors
/// [`StartError::Listen`].
pub async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// A signal that the program hears from now on.
///
/// # Errors
/// [`StartError::Signals`].
pub fn hear(kind: SignalKind) -> Result<Signal, StartError> {
    signal(kind).map_err(StartError::Signals)
}

/// SIGTERM and SIGINT, which tell the program to stop.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Hears them from now on.
    ///
    /// # Errors
    /// [`StartError::Signals`].
    pub fn hear() -> Result<Self, StartError> {
        Ok(Self { terminate: hear(SignalKind::terminate())?, interrupt: hear(SignalKind::interrupt())? })
    }

    /// Completes at the first of them.
    pub async fn told(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Completes when the part of the program that waits for it is told to stop, or has nobody left who could tell it.
pub async fn told(mut stopped: watch::Receiver<bool>) {
    // The sender ends only with the process.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Contexts of requests that come through these proxies, by the system's clock and randomness.
#[must_use]
pub fn contexts(edges: Edges, secrets: Scrubber) -> Contexts {
    Contexts { clock: Arc::new(SystemClock), randomness: Arc::new(SystemRandomness), edges, secrets }
}

/// With what services outside the platform are asked: their names by the system's name servers, their certificates by the
/// public authorities and these.
///
/// # Errors
/// Where an authority is none.
pub fn services(authorities: &[CertificateDer<'static>]) -> Result<HttpClient, rustls::Error> {
    let limits = http_client::Limits { total: SERVICE_LIMIT, ..http_client::Limits::default() };
    HttpClient::new(Arc::new(NameServers::of_system()), authorities, limits)
}

/// What reports errors of this release at this site to the tracker with the address `dsn`.
#[must_use]
pub fn reports(
    dsn: Dsn,
    (release, site): (&str, &url::Url),
    client: HttpClient,
    scrubber: &Scrubber,
    metrics: &Metrics,
) -> (ErrorReports, Delivery) {
    let environment = site.host_str().unwrap_or_default().to_owned();
    let tracker = Tracker { dsn, release: release.to_owned(), environment, client };
    let (clock, randomness) = (Arc::new(SystemClock), Arc::new(SystemRandomness));
    ErrorReports::new(tracker, scrubber.clone(), clock, randomness, metrics)
}
