//! Removes for good what was deleted longer ago than it can be restored: organizations with all that belongs to them,
//! projects and tasks, people who belong to no organization, and tokens that ended.
//!
//! The serving role can delete none of this. Functions of the database do it with their owner's rights, judge by its
//! clock what is over, and leave an audit event for each thing.

use std::time::Duration;

use foundation::database::{Database, DatabaseError};
use foundation::jobs::{Failure, Handler, Job, Policy, Schedule};
use serde_json::Value;

/// By one statement: none may take longer than a statement may, or hold up others.
const BATCH: i32 = 1_000;
/// Three in the morning, UTC.
const EVERY: Duration = Duration::from_secs(86_400);
const AT: Duration = Duration::from_secs(3 * 3600);
/// A large organization takes its time; what is left then is the next attempt's.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// What each removes, and how.
const STEPS: [(&str, &str); 4] = [
    ("organizations", "SELECT purge_organizations($1, $2)"),
    ("projects and tasks", "SELECT purge_projects_and_tasks($1, $2)"),
    ("people", "SELECT purge_people($1, $2)"),
    ("tokens", "SELECT purge_tokens($1, $2)"),
];

/// Removes what is over.
#[derive(Debug, Clone)]
pub struct Purge {
    database: Database,
}

impl Purge {
    /// Removes what is over in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Its job, once a day.
    pub fn schedule() -> Schedule {
        Schedule { name: "purge", kind: Self::KIND, every: EVERY, offset: AT, payload: Value::Null }
    }

    /// Calls a function of the database until it has nothing more to remove; says how many rows that were.
    async fn exhaust(&self, step: &'static str, name: &str) -> Result<i64, DatabaseError> {
        let mut removed = 0;
        loop {
            let some: i32 = self
                .database
                .ask(async |client| {
                    let statement = client.prepare_cached(step).await?;
                    client.query_one(&statement, &[&BATCH, &name]).await?.try_get(0)
                })
                .await?;
            if some == 0 {
                return Ok(removed);
            }
            removed += i64::from(some);
        }
    }
}

impl Handler for Purge {
    const KIND: &'static str = "purge";
    type Payload = Value;

    fn policy(&self) -> Policy {
        Policy { concurrency: 1, limit: LIMIT, ..Policy::default() }
    }

    async fn run(&self, job: Job<Value>) -> Result<(), Failure> {
        let name = format!("job-{}", job.id);
        let mut failed = None;
        for (what, step) in STEPS {
            match self.exhaust(step, &name).await {
                Ok(rows) => {
                    tracing::info!(action = "purge", what, rows, "what was deleted long ago is removed")
                }
                // It does not keep the others from being removed.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}
