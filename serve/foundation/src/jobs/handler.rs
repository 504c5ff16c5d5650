//! What runs a job, by its kind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::Backoff;

/// How jobs of one kind are run.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How many at once in one process.
    pub concurrency: usize,
    /// How many of these for one organization, where one could keep others waiting.
    pub share: Option<usize>,
    /// An attempt that takes longer has failed.
    pub limit: Duration,
    /// The waits between attempts.
    pub backoff: Backoff,
}

impl Default for Policy {
    fn default() -> Self {
        Self { concurrency: 4, share: None, limit: Duration::from_secs(60), backoff: Backoff::default() }
    }
}

/// A job that runs now.
#[derive(Debug, Clone)]
pub struct Job<P> {
    /// Its identifier, the same in every attempt.
    pub id: Uuid,
    /// For whom, if for an organization.
    pub organization_id: Option<Uuid>,
    /// Number of this attempt, from 1.
    pub attempt: u32,
    /// How many there may be.
    pub max_attempts: u32,
    /// The request that it follows from.
    pub request_id: Option<String>,
    /// W3C trace context of that request.
    pub traceparent: Option<String>,
    /// What it was given.
    pub payload: P,
}

impl<P> Job<P> {
    /// Whether a failure of this attempt is final.
    pub fn is_last(&self) -> bool {
        self.attempt >= self.max_attempts
    }

    fn with<Q>(self, payload: Q) -> Job<Q> {
        Job {
            id: self.id,
            organization_id: self.organization_id,
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            request_id: self.request_id,
            traceparent: self.traceparent,
            payload,
        }
    }
}

/// Why an attempt failed, and what becomes of the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Another attempt may succeed.
    Again(String),
    /// Another attempt may succeed, not before this wait is over.
    After(Duration, String),
    /// No attempt will succeed: the job is dead at once.
    Never(String),
}

impl Failure {
    /// For the table and the log.
    pub fn reason(&self) -> &str {
        match self {
            Self::Again(reason) | Self::After(_, reason) | Self::Never(reason) => reason,
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Again(error.to_string())
    }
}

/// Runs jobs of one kind.
pub trait Handler: Send + Sync + 'static {
    /// The kind.
    const KIND: &'static str;
    /// What its jobs carry.
    type Payload: DeserializeOwned + Send;

    /// How its jobs are run.
    fn policy(&self) -> Policy {
        Policy::default()
    }

    /// Runs one. It may run again with the same id, also after it succeeded: the effect must then be the same.
    fn run(&self, job: Job<Self::Payload>) -> impl Future<Output = Result<(), Failure>> + Send;
}

type Run = Arc<dyn Fn(Job<Value>) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// One kind, its payload's type forgotten.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) policy: Policy,
    pub(super) run: Run,
}

/// The handlers of a worker.
#[derive(Clone, Default)]
pub struct Registry {
    entries: BTreeMap<&'static str, Entry>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.entries.keys()).finish()
    }
}

impl Registry {
    /// Adds a handler; a later one takes the place of an earlier one of the same kind.
    #[must_use]
    pub fn with<H: Handler>(mut self, handler: H) -> Self {
        let policy = handler.policy();
        let handler = Arc::new(handler);
        let run: Run = Arc::new(move |job: Job<Value>| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                // A newer program may understand what this one does not, so the job is not given up at once.
                let payload = H::Payload::deserialize(&job.payload)
                    .map_err(|error| Failure::Again(format!("reading the payload: {error}")))?;
                handler.run(job.with(payload)).await
            })
        });
        self.entries.insert(H::KIND, Entry { policy, run });
        self
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = (&'static str, &Entry)> {
        self.entries.iter().map(|(kind, entry)| (*kind, entry))
    }
}
