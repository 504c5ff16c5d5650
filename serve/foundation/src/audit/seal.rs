//! Seals events into batches, behind the writers: nobody who writes waits for it.
//!
//! Sealed is what lies below the oldest transaction still under way: every transaction there has ended, so none can write
//! an event into a sealed range any more. A transaction that stays open for long only delays sealing. Positions are
//! PostgreSQL's transaction numbers: a database restored from a dump into a new cluster has to start with a higher one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::chain::{BEGINNING, Batch, EVENTS, PAGE, VERSION, Within, batch_columns};
use crate::clock::Clock;
use crate::database::{Database, DatabaseError};
use crate::jobs::{Failure, Handler, Job, Policy, Schedule};
use crate::write::transaction::Transaction;

/// Events of a batch; the last transaction's come on top, because it is not divided.
const BATCH: i64 = 2_000;
/// Batches of one organization before the next one's turn.
const TURN: u32 = 50;
/// Organizations that are asked for at once.
const ORGANIZATIONS: i32 = 100;
/// What the transactions are called in the server's log.
const NAME: &str = "audit-seal";

const LOCK: &str =
    "SELECT pg_try_advisory_xact_lock(hashtextextended('audit-seal:' || $1::uuid::text, 0)) AS locked";
const LAST: &str = concat!(
    "SELECT ",
    batch_columns!(),
    " FROM audit_batches WHERE organization_id = $1 ORDER BY number DESC LIMIT 1"
);
/// Where the batch ends: all of that transaction belongs to it.
const END: &str = "SELECT position::text::bigint FROM (\
        SELECT position FROM audit_events WHERE organization_id = $1 AND position > $2::text::xid8 \
        AND position < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY position LIMIT $3) AS next \
     ORDER BY position DESC LIMIT 1";
const INSERT: &str = "INSERT INTO audit_batches \
     (organization_id, number, version, last_position, events, root, previous, hash, sealed_at) \
     VALUES ($1, $2, $3, $4::text::xid8, $5, $6, $7, $8, $9)";
const UNSEALED: &str = "SELECT audit_unsealed($1, $2)";

/// Seals events, with the serving role and its rights.
#[derive(Debug, Clone)]
pub struct Sealer {
    database: Database,
    clock: Arc<dyn Clock>,
}

/// What a run has sealed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sealed {
    /// How many batches.
    pub batches: u64,
    /// How many events.
    pub events: i64,
}

impl Sealer {
    /// Seals what is in `database`.
    #[must_use]
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    /// Its job, once in so long: how long a change to an event can stay unnoticed at most.
    #[must_use]
    pub fn schedule(every: Duration) -> Schedule {
        Schedule { name: NAME, kind: Self::KIND, every, offset: Duration::ZERO, payload: Value::Null }
    }

    /// Seals the next batch of an organization; none, if there is nothing to seal or somebody else is sealing.
    ///
    /// # Errors
    /// [`DatabaseError`]; nothing was sealed then.
    pub async fn seal(&self, organization: Uuid) -> Result<Option<Batch>, DatabaseError> {
        let lock: Option<(_, &[&(dyn ToSql + Sync)])> = Some((LOCK, &[&organization]));
        let (mut transaction, row) =
            Transaction::begin(&self.database, Some(organization), NAME, lock).await?;
        if !row.is_some_and(|row| row.get::<_, bool>(0)) {
            return Ok(None);
        }
        let last = transaction.query(LAST, &[&organization]).await?;
        let last = last.first().map(Batch::read).transpose()?;
        let (number, position, previous) =
            last.map_or((0, 0, BEGINNING), |last| (last.number, last.last_position, last.hash));
        let end = transaction.query(END, &[&organization, &position.to_string(), &BATCH]).await?;
        let Some(end) = end.first() else {
            // The lock ends here and not some time after: whoever seals next is not turned away.
            transaction.commit().await?;
            return Ok(None);
        };
        let last_position: i64 = end.try_get(0)?;
        let mut within = Within::after(position);
        loop {
            let (position, id) = within.after;
            let values: [&(dyn ToSql + Sync); 5] =
                [&organization, &position.to_string(), &id, &last_position.to_string(), &PAGE];
            if !within.take(&transaction.query(EVENTS, &values).await?)? {
                break;
            }
        }
        let (events, root) = (within.events, within.root());
        let mut batch = Batch {
            number: number + 1,
            version: VERSION,
            last_position,
            events,
            root,
            previous,
            hash: BEGINNING,
            // As the database keeps it, so that what is hashed can be read back.
            sealed_at: in_microseconds(self.clock.now()),
        };
        batch.hash = batch.compute_hash(organization);
        insert_later(&mut transaction, organization, &batch);
        transaction.commit().await?;
        Ok(Some(batch))
    }

    /// Seals what there is to seal of all organizations. One that cannot be sealed does not keep the others from it.
    ///
    /// # Errors
    /// The last [`DatabaseError`].
    pub async fn seal_all(&self) -> Result<Sealed, DatabaseError> {
        let (mut sealed, mut failed) = (Sealed::default(), None);
        let mut start = Uuid::nil();
        loop {
            let rows = self
                .database
                .ask(async |client| {
                    let statement = client.prepare_cached(UNSEALED).await?;
                    client.query(&statement, &[&start, &ORGANIZATIONS]).await
                })
                .await?;
            let Some(last) = rows.last() else { break };
            for row in &rows {
                if let Err(error) = self.take_turn(row.try_get(0)?, &mut sealed).await {
                    failed = Some(error);
                }
            }
            let Some(next) = last.try_get::<_, Uuid>(0)?.as_u128().checked_add(1) else { break };
            start = Uuid::from_u128(next);
        }
        failed.map_or(Ok(sealed), Err)
    }

    async fn take_turn(&self, organization: Uuid, sealed: &mut Sealed) -> Result<(), DatabaseError> {
        for _ in 0..TURN {
            let Some(batch) = self.seal(organization).await? else { break };
            sealed.batches += 1;
            sealed.events += batch.events;
        }
        Ok(())
    }
}

fn insert_later(transaction: &mut Transaction, organization: Uuid, batch: &Batch) {
    transaction.later(
        INSERT,
        vec![
            Box::new(organization),
            Box::new(batch.number),
            Box::new(batch.version),
            Box::new(batch.last_position.to_string()),
            Box::new(batch.events),
            Box::new(batch.root.to_vec()),
            Box::new(batch.previous.to_vec()),
            Box::new(batch.hash.to_vec()),
            Box::new(batch.sealed_at),
        ],
    );
}

fn in_microseconds(at: time::OffsetDateTime) -> time::OffsetDateTime {
    at - Duration::from_nanos(u64::from(at.nanosecond() % 1_000))
}

impl Handler for Sealer {
    const KIND: &'static str = "audit.seal";
    type Payload = Value;

    fn policy(&self) -> Policy {
        // A transaction is not divided, however many events it has.
        Policy { concurrency: 1, limit: Duration::from_secs(300), ..Policy::default() }
    }

    async fn run(&self, _: Job<Value>) -> Result<(), Failure> {
        let sealed = self.seal_all().await?;
        tracing::debug!(batches = sealed.batches, events = sealed.events, "audit events are sealed");
        Ok(())
    }
}
