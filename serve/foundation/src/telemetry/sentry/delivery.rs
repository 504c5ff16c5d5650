//! Sends reports, one after the other, from a queue that nobody waits for.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use futures_util::FutureExt as _;
use prometheus_client::metrics::counter::Counter;
use sentry_core::types::Dsn;
use sentry_core::{Envelope, Transport};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;
use url::Url;

use crate::http_client::HttpClient;

/// Reports that wait to be sent.
const WAITING: usize = 100;
/// What waits at the end is sent in this time or not.
const AT_THE_END: Duration = Duration::from_secs(1);
/// A tracker that has enough and does not say for how long is left alone for this long.
const PAUSE: Duration = Duration::from_secs(60);
/// It cannot ask to be left alone for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
const AUTHENTICATION: HeaderName = HeaderName::from_static("x-sentry-auth");
const AGENT: &str = concat!("bastide/", env!("CARGO_PKG_VERSION"));

/// The end of the queue that reports are put into.
pub(super) struct Queue {
    waiting: Sender<Envelope>,
    dropped: Counter,
}

/// Sends reports, as a task beside the requests.
#[derive(Debug)]
pub struct Delivery {
    waiting: Receiver<Envelope>,
    client: HttpClient,
    url: Url,
    authentication: String,
    dropped: Counter,
    paused_until: Option<Instant>,
    failing: bool,
}

/// Both ends of a queue to the tracker.
pub(super) fn queue(dsn: &Dsn, client: HttpClient, dropped: Counter) -> (Queue, Delivery) {
    let (sender, waiting) = mpsc::channel(WAITING);
    let authentication = dsn.to_auth(Some(AGENT)).to_string();
    let queue = Queue { waiting: sender, dropped: dropped.clone() };
    let url = dsn.envelope_api_url();
    (queue, Delivery { waiting, client, url, authentication, dropped, paused_until: None, failing: false })
}

impl Transport for Queue {
    fn send_envelope(&self, envelope: Envelope) {
        if self.waiting.try_send(envelope).is_err() {
            self.dropped.inc();
        }
    }
}

impl Delivery {
    /// Sends until `stop` completes, and then what waits, for a short while.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let stop = stop.shared();
        let end = stop.clone().then(|()| tokio::time::sleep(AT_THE_END));
        let work = async {
            loop {
                tokio::select! {
                    () = stop.clone() => break,
                    Some(envelope) = self.waiting.recv() => self.send(envelope).await,
                }
            }
            self.waiting.close();
            while let Some(envelope) = self.waiting.recv().await {
                self.send(envelope).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = end => tracing::warn!("the last errors were not reported: the tracker does not answer"),
        }
    }

    async fn send(&mut self, envelope: Envelope) {
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            self.dropped.inc();
            return;
        }
        match self.post(&envelope).await {
            Ok(()) => self.failing = false,
            Err(reason) => {
                self.dropped.inc();
                // Once, and not for every report; at a level that is not itself reported.
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(reason, "an error could not be reported to the tracker");
                }
            }
        }
    }

    async fn post(&mut self, envelope: &Envelope) -> Result<(), String> {
        let mut body = Vec::new();
        envelope.to_writer(&mut body).map_err(|error| error.to_string())?;
        let authentication =
            HeaderValue::try_from(&self.authentication).map_err(|error| error.to_string())?;
        let headers = HeaderMap::from_iter([
            (AUTHENTICATION, authentication),
            (CONTENT_TYPE, HeaderValue::from_static("application/x-sentry-envelope")),
        ]);
        let answer = self.client.post(&self.url, headers, Bytes::from(body)).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status.is_success() {
            return Ok(());
        }
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let asked = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let pause = asked.map_or(PAUSE, Duration::from_secs).min(LONGEST_PAUSE);
            self.paused_until = Some(Instant::now() + pause);
        }
        Err(format!("the tracker answered {}", answer.status))
    }
}
