//! Recomputes the chain of an organization, a page at a time.
//!
//! The chain shows that what it covers is as it was sealed. That batches at its end were taken away together it cannot
//! show by itself: whoever could write all tables could seal anew. So keep its [`Head`] elsewhere now and then, and verify
//! against it.

use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::chain::{BEGINNING, Batch, EVENTS, Head, PAGE, VERSION, Within, batch_columns};
use super::record::Hash;
use crate::database::{Database, DatabaseError};
use crate::write::transaction::Transaction;

/// Batches that are in memory at once.
const BATCHES: i64 = 200;

const NEXT: &str = concat!(
    "SELECT ",
    batch_columns!(),
    " FROM audit_batches WHERE organization_id = $1 AND number > $2 ORDER BY number LIMIT $3"
);
const UNSEALED: &str =
    "SELECT count(*) FROM audit_events WHERE organization_id = $1 AND position > $2::text::xid8";

/// What is wrong with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// There are fewer events than were sealed.
    EventMissing,
    /// There are as many events as were sealed, and not the same.
    EventChanged,
    /// There are more events than were sealed.
    EventAdded,
    /// There is no batch of this number, and there are later ones.
    BatchMissing,
    /// It does not name the hash of the batch before.
    LinkBroken,
    /// What is kept of it is not what its hash covers.
    BatchChanged,
    /// The chain ends before the head that is known, or has another hash there.
    HeadLost,
}

/// The first batch that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Its number.
    pub batch: i64,
    /// How.
    pub flaw: Flaw,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Whether nothing is broken.
    pub intact: bool,
    /// The last batch up to which all is as it was sealed. Keep it elsewhere.
    pub head: Option<Head>,
    /// How many events are in the batches up to there.
    pub events: i64,
    /// How many events wait to be sealed; not counted in a broken chain.
    pub unsealed: Option<i64>,
    /// The first batch that is broken.
    pub broken: Option<Broken>,
}

/// Where the verification stands.
struct Walk<'a> {
    database: &'a Database,
    organization: Uuid,
    request_id: &'a str,
    known: Option<&'a Head>,
    number: i64,
    position: i64,
    hash: Hash,
    events: i64,
    head: Option<Head>,
}

/// Verifies the chain of `organization`, up to its end and against the head that somebody knows from before.
///
/// # Errors
/// [`DatabaseError`], when it could not be read to its end.
pub async fn verify(
    database: &Database,
    organization: Uuid,
    request_id: &str,
    known: Option<&Head>,
) -> Result<Verification, DatabaseError> {
    let (number, position, hash, events, head) = (0, 0, BEGINNING, 0, None);
    let mut walk = Walk { database, organization, request_id, known, number, position, hash, events, head };
    let broken = walk.whole_chain().await?;
    let unsealed = if broken.is_none() { Some(walk.unsealed().await?) } else { None };
    Ok(Verification { intact: broken.is_none(), head: walk.head, events: walk.events, unsealed, broken })
}

impl Walk<'_> {
    async fn whole_chain(&mut self) -> Result<Option<Broken>, DatabaseError> {
        loop {
            let batches = self.batches().await?;
            for batch in &batches {
                if let Some(flaw) = self.step(batch).await? {
                    return Ok(Some(Broken { batch: self.number + 1, flaw }));
                }
                self.number = batch.number;
                self.position = batch.last_position;
                self.hash = batch.hash;
                self.events += batch.events;
                self.head = Some(batch.head());
            }
            if i64::try_from(batches.len()) != Ok(BATCHES) {
                break;
            }
        }
        let lost = self.known.filter(|known| known.number > self.number);
        Ok(lost.map(|_| Broken { batch: self.number + 1, flaw: Flaw::HeadLost }))
    }

    /// What is wrong with the batch that should be the next one.
    async fn step(&self, batch: &Batch) -> Result<Option<Flaw>, DatabaseError> {
        let known = self.known.filter(|known| known.number == batch.number);
        let flaw = if batch.number != self.number + 1 {
            Some(Flaw::BatchMissing)
        } else if batch.version != VERSION || batch.compute_hash(self.organization) != batch.hash {
            Some(Flaw::BatchChanged)
        } else if batch.previous != self.hash {
            Some(Flaw::LinkBroken)
        } else if known.is_some_and(|known| !known.hash.eq_ignore_ascii_case(&batch.head().hash)) {
            Some(Flaw::HeadLost)
        } else {
            None
        };
        if flaw.is_some() {
            return Ok(flaw);
        }
        let mut within = Within::after(self.position);
        while within.take(&self.page(within.after, batch.last_position).await?)? {}
        Ok(match within.events.cmp(&batch.events) {
            std::cmp::Ordering::Less => Some(Flaw::EventMissing),
            std::cmp::Ordering::Greater => Some(Flaw::EventAdded),
            std::cmp::Ordering::Equal => (within.root() != batch.root).then_some(Flaw::EventChanged),
        })
    }

    async fn batches(&self) -> Result<Vec<Batch>, DatabaseError> {
        let values: [&(dyn ToSql + Sync); 3] = [&self.organization, &self.number, &BATCHES];
        let rows = self.read(NEXT, &values).await?;
        Ok(rows.iter().map(Batch::read).collect::<Result<_, _>>()?)
    }

    async fn page(&self, (position, id): (i64, Uuid), last: i64) -> Result<Vec<Row>, DatabaseError> {
        self.read(EVENTS, &[&self.organization, &position.to_string(), &id, &last.to_string(), &PAGE]).await
    }

    async fn unsealed(&self) -> Result<i64, DatabaseError> {
        let rows = self.read(UNSEALED, &[&self.organization, &self.position.to_string()]).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
    }

    async fn read(
        &self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        Transaction::read(self.database, Some(self.organization), self.request_id, sql, values).await
    }
}
