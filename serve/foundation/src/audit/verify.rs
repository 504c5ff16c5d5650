//! Recomputes the chain of an organization, a page at a time.
//!
//! The chain shows that what it covers is as it was sealed. That batches at its end were taken away together it cannot
//! show by itself: whoever could write all tables could seal anew. So keep its [`Head`] elsewhere now and then, and verify
//! against it.

use std::cmp::Ordering;
use std::collections::VecDeque;

use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use uuid::Uuid;

use super::chain::{BEGINNING, Batch, EVENTS, Head, PAGE, VERSION, Within, batch_columns};
use super::record::{Hash, Record};
use crate::database::{Database, DatabaseError};
use crate::write::transaction::Transaction;

/// Batches that are in memory at once.
const BATCHES: i64 = 200;

const BATCH: &str =
    concat!("SELECT ", batch_columns!(), " FROM audit_batches WHERE organization_id = $1 AND number = $2");
const NEXT: &str = concat!(
    "SELECT ",
    batch_columns!(),
    " FROM audit_batches WHERE organization_id = $1 AND number > $2 ORDER BY number LIMIT $3"
);
const UNSEALED: &str =
    "SELECT count(*) FROM audit_events WHERE organization_id = $1 AND position > $2::text::xid8";

/// What is wrong with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Broken {
    /// Its number.
    #[schema(minimum = 1)]
    pub batch: i64,
    /// How: `event-missing`, `event-changed` and `event-added` are events that are not as they were sealed;
    /// `batch-missing`, `batch-changed` and `link-broken` are the chain itself; `head-lost` is a chain that does not have
    /// the head that is known.
    pub flaw: Flaw,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Verification {
    /// Whether nothing that was verified is broken.
    pub intact: bool,
    /// Whether everything that is sealed was verified. Where not, verify on after `head`.
    pub complete: bool,
    /// The last batch up to which all is as it was sealed. Keep it elsewhere.
    #[schema(required = true)]
    pub head: Option<Head>,
    /// How many events were verified.
    #[schema(minimum = 0, example = 25133)]
    pub events: i64,
    /// How many events wait to be sealed; not counted in a chain that is broken or not complete.
    #[schema(required = true, minimum = 0)]
    pub unsealed: Option<i64>,
    /// The first batch that is broken.
    #[schema(required = true)]
    pub broken: Option<Broken>,
}

/// What to verify.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent<'a> {
    /// A head that somebody knows from before: the chain must have it.
    pub known: Option<&'a Head>,
    /// Where the last verification ended; from the beginning without it.
    pub after: Option<&'a Head>,
    /// So many reads of the database are enough for now; none to go to the end. Each reads a page of batches or of events,
    /// and the last batch that was begun is verified to its end.
    pub reads: Option<u32>,
}

/// Where the verification stands.
struct Walk<'a> {
    database: &'a Database,
    organization: Uuid,
    request_id: &'a str,
    extent: Extent<'a>,
    reads: u32,
    number: i64,
    position: i64,
    hash: Hash,
    events: i64,
    head: Option<Head>,
}

/// Events that were read, up to the last batch of a page, and not hashed yet.
struct Unread {
    records: VecDeque<Record>,
    after: (i64, Uuid),
    last: i64,
    ended: bool,
}

/// How a walk ended.
enum End {
    Whole,
    Enough,
    Broken(Broken),
}

/// Verifies the chain of `organization`.
///
/// # Errors
/// [`DatabaseError`], when it could not be read as far as was asked.
pub async fn verify(
    database: &Database,
    organization: Uuid,
    request_id: &str,
    extent: Extent<'_>,
) -> Result<Verification, DatabaseError> {
    let (reads, number, position, hash, events, head) = (0, 0, 0, BEGINNING, 0, None);
    let mut walk =
        Walk { database, organization, request_id, extent, reads, number, position, hash, events, head };
    let end = walk.go().await?;
    let broken = if let End::Broken(broken) = end { Some(broken) } else { None };
    let complete = matches!(end, End::Whole);
    let unsealed = if complete { Some(walk.unsealed().await?) } else { None };
    let (intact, head, events) = (broken.is_none(), walk.head, walk.events);
    Ok(Verification { intact, complete, head, events, unsealed, broken })
}

impl Walk<'_> {
    async fn go(&mut self) -> Result<End, DatabaseError> {
        if let Some(after) = self.extent.after
            && let Some(flaw) = self.resume(after).await?
        {
            return Ok(End::Broken(Broken { batch: after.number, flaw }));
        }
        loop {
            let batches = self.batches().await?;
            let last = batches.iter().map(|batch| batch.last_position).max().unwrap_or_default();
            let (records, after, ended) = (VecDeque::new(), (self.position, Uuid::max()), false);
            let mut unread = Unread { records, after, last, ended };
            for batch in &batches {
                if let Some(flaw) = self.step(batch, &mut unread).await? {
                    return Ok(End::Broken(Broken { batch: self.number + 1, flaw }));
                }
                self.stand_at(batch);
                self.events += batch.events;
                if self.extent.reads.is_some_and(|enough| self.reads >= enough) {
                    return Ok(End::Enough);
                }
            }
            if i64::try_from(batches.len()) != Ok(BATCHES) {
                break;
            }
        }
        let lost = self.extent.known.is_some_and(|known| known.number > self.number);
        let broken = Broken { batch: self.number + 1, flaw: Flaw::HeadLost };
        Ok(if lost { End::Broken(broken) } else { End::Whole })
    }

    /// Goes on where a verification ended. What it saw there must still be there.
    async fn resume(&mut self, after: &Head) -> Result<Option<Flaw>, DatabaseError> {
        let rows = self.read(BATCH, &[&after.number]).await?;
        let Some(batch) = rows.first().map(Batch::read).transpose()? else { return Ok(Some(Flaw::HeadLost)) };
        let flaw = if self.changed(&batch) {
            Some(Flaw::BatchChanged)
        } else if self.is_not_known(&batch) || !after.is(&batch.head()) {
            Some(Flaw::HeadLost)
        } else {
            self.stand_at(&batch);
            None
        };
        Ok(flaw)
    }

    fn stand_at(&mut self, batch: &Batch) {
        self.number = batch.number;
        self.position = batch.last_position;
        self.hash = batch.hash;
        self.head = Some(batch.head());
    }

    fn changed(&self, batch: &Batch) -> bool {
        batch.version != VERSION || batch.compute_hash(self.organization) != batch.hash
    }

    /// Whether another batch is known to have its number.
    fn is_not_known(&self, batch: &Batch) -> bool {
        let known = self.extent.known.filter(|known| known.number == batch.number);
        known.is_some_and(|known| !known.is(&batch.head()))
    }

    /// What is wrong with the batch that should be the next one.
    async fn step(&mut self, batch: &Batch, unread: &mut Unread) -> Result<Option<Flaw>, DatabaseError> {
        let flaw = if batch.number != self.number + 1 {
            Some(Flaw::BatchMissing)
        } else if self.changed(batch) {
            Some(Flaw::BatchChanged)
        } else if batch.previous != self.hash {
            Some(Flaw::LinkBroken)
        } else if self.is_not_known(batch) {
            Some(Flaw::HeadLost)
        } else {
            None
        };
        if flaw.is_some() {
            return Ok(flaw);
        }
        let mut within = Within::after(self.position);
        while let Some(record) = self.next(batch.last_position, unread).await? {
            within.add(&record);
        }
        Ok(match within.events.cmp(&batch.events) {
            Ordering::Less => Some(Flaw::EventMissing),
            Ordering::Greater => Some(Flaw::EventAdded),
            Ordering::Equal => (within.root() != batch.root).then_some(Flaw::EventChanged),
        })
    }

    /// The next event up to a position. A page of events goes over many batches: how many reads there are depends on how
    /// many events there are, however small the batches.
    async fn next(&mut self, up_to: i64, unread: &mut Unread) -> Result<Option<Record>, DatabaseError> {
        if unread.records.is_empty() && !unread.ended {
            let ((position, id), last) = (unread.after, unread.last);
            let rows = self.read(EVENTS, &[&position.to_string(), &id, &last.to_string(), &PAGE]).await?;
            unread.records = rows.iter().map(Record::read).collect::<Result<_, _>>()?;
            unread.ended = i64::try_from(rows.len()) != Ok(PAGE);
            if let Some(record) = unread.records.back() {
                unread.after = (record.position, record.id);
            }
        }
        let is_within = unread.records.front().is_some_and(|record| record.position <= up_to);
        Ok(if is_within { unread.records.pop_front() } else { None })
    }

    async fn batches(&mut self) -> Result<Vec<Batch>, DatabaseError> {
        let number = self.number;
        let rows = self.read(NEXT, &[&number, &BATCHES]).await?;
        Ok(rows.iter().map(Batch::read).collect::<Result<_, _>>()?)
    }

    async fn unsealed(&mut self) -> Result<i64, DatabaseError> {
        let position = self.position.to_string();
        let rows = self.read(UNSEALED, &[&position]).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
    }

    /// Asks something of the organization, which is the first parameter.
    async fn read(
        &mut self,
        sql: &'static str,
        further: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.reads += 1;
        let organization = self.organization;
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&organization];
        values.extend_from_slice(further);
        Transaction::read(self.database, Some(organization), self.request_id, sql, &values).await
    }
}
