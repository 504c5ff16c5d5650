//! The queue on Valkey `durable`: one sorted set a kind, of the identifiers of jobs by the time they are due.

use std::sync::Arc;

use futures_util::future::try_join_all;
use redis::cmd;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::valkey::{Valkey, ValkeyError};

/// Tells feeders that jobs were written, and runners that jobs were fed.
pub(super) const CHANNEL: &str = "app:jobs";
pub(super) const WRITTEN: &str = "written";
pub(super) const FED: &str = "fed";

/// The queue, and the signals of this process. Clones are the same queue.
#[derive(Debug, Clone)]
pub struct Queue {
    valkey: Arc<Valkey>,
    pub(super) written: Arc<Notify>,
    pub(super) fed: Arc<Notify>,
}

impl Queue {
    /// A queue on this instance.
    #[must_use]
    pub fn new(valkey: Arc<Valkey>) -> Self {
        Self { valkey, written: Arc::default(), fed: Arc::default() }
    }

    /// Tells this process's feeder that a job was committed. It costs nothing, and what is lost is found by looking.
    pub fn wake(&self) {
        self.written.notify_one();
    }

    /// In a process without a worker: passes [`Self::wake`] on to the workers of others, as one message for all that
    /// came at once, until dropped.
    pub async fn forward(&self) {
        loop {
            self.written.notified().await;
            if let Err(error) = self.publish(WRITTEN).await {
                tracing::debug!(%error, "workers were not told of a job; they look for it themselves");
            }
        }
    }

    pub(super) async fn publish(&self, message: &str) -> Result<(), ValkeyError> {
        self.valkey.ask(cmd("PUBLISH").arg(CHANNEL).arg(message)).await
    }

    /// Passes on what other processes publish, until the connection breaks.
    pub(super) async fn listen(&self) -> Result<(), ValkeyError> {
        use futures_util::StreamExt as _;
        let mut messages = self.valkey.subscribe(CHANNEL).await?;
        while let Some(message) = messages.next().await {
            match message.get_payload_bytes() {
                bytes if bytes == WRITTEN.as_bytes() => self.written.notify_one(),
                _ => self.fed.notify_one(),
            }
        }
        Ok(())
    }

    /// How many jobs of each kind are in the queue.
    pub(super) async fn lengths(&self, queue: &str, kinds: &[&str]) -> Result<Vec<i64>, ValkeyError> {
        let ask = async |kind: &str| self.valkey.ask(cmd("ZCARD").arg(key(queue, kind))).await;
        try_join_all(kinds.iter().map(|kind| ask(kind))).await
    }

    /// Adds jobs of one kind; those that are in it stay where they are.
    pub(super) async fn add(&self, queue: &str, kind: &str, jobs: &[(Uuid, i64)]) -> Result<(), ValkeyError> {
        let mut command = cmd("ZADD");
        command.arg(key(queue, kind)).arg("NX");
        for (id, due) in jobs {
            command.arg(*due).arg(id.as_bytes());
        }
        self.valkey.ask(&command).await
    }

    /// Takes up to `count` jobs of one kind, those due longest first.
    pub(super) async fn take(&self, queue: &str, kind: &str, count: usize) -> Result<Vec<Uuid>, ValkeyError> {
        let taken: Vec<(Vec<u8>, f64)> =
            self.valkey.ask(cmd("ZPOPMIN").arg(key(queue, kind)).arg(count)).await?;
        // What is not an identifier was not put there by a feeder, and is forgotten.
        Ok(taken.iter().filter_map(|(member, _)| Uuid::from_slice(member).ok()).collect())
    }
}

fn key(queue: &str, kind: &str) -> String {
    format!("app:jobs:{queue}:{kind}")
}
