//! Removes what was said long ago: the log of deliveries does not grow without end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Clock;
use crate::database::{Database, DatabaseError};
use crate::jobs::{Failure, Handler, Job, Policy, Schedule};

/// By one statement: none may hold up others, or take longer than a statement may.
const BATCH: i32 = 500;
/// Batches of one job. What is left is the next one's.
const TURN: u32 = 500;

const SWEEP: &str = "SELECT webhook_sweep($1, $2)";

/// Sweeps old deliveries.
#[derive(Debug, Clone)]
pub struct Sweeper {
    database: Database,
    clock: Arc<dyn Clock>,
    kept: Duration,
}

impl Sweeper {
    /// Sweeps what is in `database` and older than `kept`.
    #[must_use]
    pub fn new(database: Database, clock: Arc<dyn Clock>, kept: Duration) -> Self {
        Self { database, clock, kept }
    }

    /// Its job, once in so long.
    #[must_use]
    pub fn schedule(every: Duration) -> Schedule {
        let name = "webhook-sweep";
        Schedule { name, kind: Self::KIND, every, offset: Duration::ZERO, payload: Value::Null }
    }

    /// Removes what is old, and says how much that was. What is still tried stays.
    ///
    /// # Errors
    /// [`DatabaseError`]; what was removed before stays removed.
    pub async fn sweep(&self) -> Result<i64, DatabaseError> {
        let before = self.clock.now() - self.kept;
        let mut swept = 0;
        for _ in 0..TURN {
            let batch: i64 = self
                .database
                .ask(async |client| {
                    let statement = client.prepare_cached(SWEEP).await?;
                    client.query_one(&statement, &[&before, &BATCH]).await?.try_get(0)
                })
                .await?;
            swept += batch;
            if batch == 0 {
                break;
            }
        }
        Ok(swept)
    }
}

impl Handler for Sweeper {
    const KIND: &'static str = "webhook.sweep";
    type Payload = Value;

    fn policy(&self) -> Policy {
        Policy { concurrency: 1, ..Policy::default() }
    }

    async fn run(&self, _: Job<Value>) -> Result<(), Failure> {
        let swept = self.sweep().await?;
        tracing::debug!(swept, "old deliveries of webhooks are swept");
        Ok(())
    }
}
