//! The queue on Valkey `durable`: one sorted set a kind, of jobs by the time they are due. A member is the identifier of the
//! job, and after it that of the organization that it is for, if it is for one.

use std::sync::Arc;

use futures_util::future::try_join_all;
use redis::cmd;
use tokio::sync::Notify;
use uuid::Uuid;

use super::slots::Shares;
use super::store::Due;
use crate::valkey::{Script, Valkey, ValkeyError};

/// Tells feeders that jobs were written, and runners that jobs were fed.
pub(super) const CHANNEL: &str = "app:jobs";
pub(super) const WRITTEN: &str = "written";
pub(super) const FED: &str = "fed";

const TAKE: &str = include_str!("take.lua");
const CROWDS: &str = include_str!("crowds.lua");
/// Bytes of an identifier.
const ID: usize = 16;

/// The queue, and the signals of this process. Clones are the same queue.
#[derive(Debug, Clone)]
pub struct Queue {
    valkey: Arc<Valkey>,
    take: Script,
    crowds: Script,
    pub(super) written: Arc<Notify>,
    pub(super) fed: Arc<Notify>,
}

impl Queue {
    /// A queue on this instance.
    #[must_use]
    pub fn new(valkey: Arc<Valkey>) -> Self {
        let (take, crowds) = (Script::new(TAKE), Script::new(CROWDS));
        Self { valkey, take, crowds, written: Arc::default(), fed: Arc::default() }
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

    /// The organizations of which `crowd` jobs of a kind, or more, are in the queue.
    pub(super) async fn crowds(
        &self,
        queue: &str,
        kind: &str,
        crowd: usize,
    ) -> Result<Vec<Uuid>, ValkeyError> {
        let found: Vec<Vec<u8>> = self.valkey.run(&self.crowds, &[key(queue, kind)], crowd).await?;
        Ok(found.iter().filter_map(|organization| Uuid::from_slice(organization).ok()).collect())
    }

    /// Adds jobs of one kind; those that are in it stay where they are.
    pub(super) async fn add(&self, queue: &str, kind: &str, jobs: &[&Due]) -> Result<(), ValkeyError> {
        let mut command = cmd("ZADD");
        command.arg(key(queue, kind)).arg("NX");
        for job in jobs {
            let organization = job.organization_id.as_ref().map_or(&[][..], |id| id.as_bytes());
            command.arg(job.due).arg([job.id.as_bytes(), organization].concat());
        }
        self.valkey.ask(&command).await
    }

    /// Takes up to `count` jobs of one kind, those due longest first, and of each organization no more than its share.
    pub(super) async fn take(
        &self,
        queue: &str,
        kind: &str,
        count: usize,
        shares: Option<Shares>,
    ) -> Result<Vec<Uuid>, ValkeyError> {
        let key = key(queue, kind);
        let taken: Vec<Vec<u8>> = match shares {
            Some(Shares { each, left }) => {
                let number = |number: usize| number.to_string().into_bytes();
                let mut values = vec![number(count), number(each)];
                values.extend(left.into_iter().flat_map(|(id, more)| [id.as_bytes().to_vec(), number(more)]));
                self.valkey.run(&self.take, &[key], values).await?
            }
            None => {
                let taken: Vec<(Vec<u8>, f64)> = self.valkey.ask(cmd("ZPOPMIN").arg(key).arg(count)).await?;
                taken.into_iter().map(|(member, _)| member).collect()
            }
        };
        // What is not an identifier was not put there by a feeder, and is forgotten.
        Ok(taken.iter().filter_map(|member| Uuid::from_slice(member.get(..ID)?).ok()).collect())
    }
}

fn key(queue: &str, kind: &str) -> String {
    format!("app:jobs:{queue}:{kind}")
}
