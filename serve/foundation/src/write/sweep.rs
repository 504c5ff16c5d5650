//! Removes answers whose keys have expired. A key that has expired is free also before it is removed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Clock;
use crate::database::{Database, DatabaseError};
use crate::jobs::{Failure, Handler, Job, Policy, Schedule};

/// By one statement: none may hold up others, or take longer than a statement may.
const BATCH: i64 = 1_000;
/// Batches of one job. What is left is the next one's.
const TURN: u32 = 500;

const SWEEP: &str = "DELETE FROM idempotency_keys WHERE (caller, key) IN (\
        SELECT caller, key FROM idempotency_keys WHERE expires_at <= $1 \
        ORDER BY expires_at LIMIT $2)";

/// Sweeps expired keys.
#[derive(Debug, Clone)]
pub struct Sweeper {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl Sweeper {
    /// Sweeps what is in `database`.
    #[must_use]
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    /// Its job, once in so long.
    #[must_use]
    pub fn schedule(every: Duration) -> Schedule {
        let name = "idempotency-sweep";
        Schedule { name, kind: Self::KIND, every, offset: Duration::ZERO, payload: Value::Null }
    }

    /// Removes what has expired, and says how much that was.
    ///
    /// # Errors
    /// [`DatabaseError`]; what was removed before stays removed.
    pub async fn sweep(&self) -> Result<u64, DatabaseError> {
        let now = self.clock.now();
        let mut swept = 0;
        for _ in 0..TURN {
            let batch = self
                .database
                .ask(async |client| {
                    let statement = client.prepare_cached(SWEEP).await?;
                    client.execute(&statement, &[&now, &BATCH]).await
                })
                .await?;
            swept += batch;
            if batch < BATCH.unsigned_abs() {
                break;
            }
        }
        Ok(swept)
    }
}

impl Handler for Sweeper {
    const KIND: &'static str = "idempotency.sweep";
    type Payload = Value;

    fn policy(&self) -> Policy {
        Policy { concurrency: 1, ..Policy::default() }
    }

    async fn run(&self, _: Job<Value>) -> Result<(), Failure> {
        let swept = self.sweep().await?;
        tracing::debug!(swept, "expired idempotency keys are swept");
        Ok(())
    }
}
