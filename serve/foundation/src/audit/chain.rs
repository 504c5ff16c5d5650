//! Batches of an organization's events, each with the hash of the one before.
//!
//! A batch holds all events of whole transactions, in the order of `position` and `id`: those after the last transaction
//! of the batch before, up to its own. Its root is the SHA-256 of the events' hashes one after another; its hash covers
//! the root and everything else that is kept of it.

use ring::digest::{Context, SHA256};
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::record::{Hash, Record, columns, finish, microseconds};
use crate::database::DatabaseError;

/// How events and batches are hashed now.
pub(super) const VERSION: i16 = 1;
/// What the first batch names as the hash before it.
pub(super) const BEGINNING: Hash = [0; 32];
/// Events that are in memory at once.
pub(super) const PAGE: i64 = 500;

/// A page of the events of a range of transactions, in the chain's order. [`Within`] goes through them.
pub(super) const EVENTS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM audit_events WHERE organization_id = $1 \
     AND (position, id) > ($2::text::xid8, $3) AND position <= $4::text::xid8 \
     ORDER BY position, id LIMIT $5"
);

/// Columns of a batch, as [`Batch::read`] wants them.
macro_rules! batch_columns {
    () => {
        "number, version, last_position::text::bigint AS last_position, events, root, previous, hash, sealed_at"
    };
}
pub(super) use batch_columns;

/// Identifies a place in a chain, such as its end. Kept elsewhere, it makes evident that batches at the end were taken
/// away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Head {
    /// Number of the batch.
    #[schema(minimum = 1, example = 1207)]
    pub number: i64,
    /// Its hash, in hexadecimal.
    #[schema(example = "5d0c1e6f0f6e3b1c8c7e2a54c3b2a190f4be5a1c9f7d2e8b6a0c3d4e5f601728")]
    pub hash: String,
}

impl Head {
    /// Whether this is the batch with that number and hash.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.number == other.number && self.hash.eq_ignore_ascii_case(&other.hash)
    }
}

/// A sealed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its number in its organization, from 1.
    pub number: i64,
    /// How it is hashed.
    pub version: i16,
    /// The last transaction in it.
    pub last_position: i64,
    /// How many events it holds.
    pub events: i64,
    /// The hash of its events.
    pub root: Hash,
    /// The hash of the batch before.
    pub previous: Hash,
    /// Its hash.
    pub hash: Hash,
    /// When it was sealed.
    pub sealed_at: OffsetDateTime,
}

impl Batch {
    pub(super) fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let hash = |name| -> Result<Hash, tokio_postgres::Error> {
            // The table holds no other length; one that came from elsewhere equals no hash.
            Ok(row.try_get::<_, &[u8]>(name)?.try_into().unwrap_or([0xff; 32]))
        };
        Ok(Self {
            number: row.try_get("number")?,
            version: row.try_get("version")?,
            last_position: row.try_get("last_position")?,
            events: row.try_get("events")?,
            root: hash("root")?,
            previous: hash("previous")?,
            hash: hash("hash")?,
            sealed_at: row.try_get("sealed_at")?,
        })
    }

    /// SHA-256 of `bastide-audit-batch`, the version in two bytes, the organization in 16, number, last position, count of
    /// events and microseconds of its sealing in 8 each, root and previous hash. All numbers are big-endian.
    #[must_use]
    pub fn compute_hash(&self, organization: Uuid) -> Hash {
        let mut context = Context::new(&SHA256);
        context.update(b"bastide-audit-batch");
        context.update(&self.version.to_be_bytes());
        context.update(organization.as_bytes());
        for number in [self.number, self.last_position, self.events, microseconds(self.sealed_at)] {
            context.update(&number.to_be_bytes());
        }
        context.update(&self.root);
        context.update(&self.previous);
        finish(context)
    }

    /// The end of a chain that ends here.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { number: self.number, hash: hexadecimal(&self.hash) }
    }
}

fn hexadecimal(hash: &Hash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _a_string_takes_all = write!(text, "{byte:02x}");
        text
    })
}

/// Goes through the events between two positions, a page at a time, and hashes them.
pub(super) struct Within {
    context: Context,
    pub(super) events: i64,
    /// The last one seen.
    pub(super) after: (i64, Uuid),
}

impl Within {
    /// Begins after every event of the transaction `position`.
    pub(super) fn after(position: i64) -> Self {
        Self { context: Context::new(&SHA256), events: 0, after: (position, Uuid::max()) }
    }

    /// Takes the next page in; false when it was the last one.
    pub(super) fn take(&mut self, rows: &[Row]) -> Result<bool, DatabaseError> {
        for row in rows {
            self.add(&Record::read(row)?);
        }
        Ok(i64::try_from(rows.len()) == Ok(PAGE))
    }

    /// Takes the next event in.
    pub(super) fn add(&mut self, record: &Record) {
        self.context.update(&record.hash());
        self.events += 1;
        self.after = (record.position, record.id);
    }

    pub(super) fn root(self) -> Hash {
        finish(self.context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_covers_all_that_is_kept_of_it() {
        let organization = Uuid::from_u128(1);
        let batch = Batch {
            number: 1,
            version: VERSION,
            last_position: 5,
            events: 2,
            root: [1; 32],
            previous: BEGINNING,
            hash: [0; 32],
            sealed_at: OffsetDateTime::UNIX_EPOCH,
        };
        let hashes = [
            batch.compute_hash(organization),
            batch.compute_hash(Uuid::nil()),
            Batch { number: 2, ..batch.clone() }.compute_hash(organization),
            Batch { version: 2, ..batch.clone() }.compute_hash(organization),
            Batch { last_position: 6, ..batch.clone() }.compute_hash(organization),
            Batch { events: 3, ..batch.clone() }.compute_hash(organization),
            Batch { root: [2; 32], ..batch.clone() }.compute_hash(organization),
            Batch { previous: [2; 32], ..batch.clone() }.compute_hash(organization),
            Batch {
                sealed_at: OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_secs(1),
                ..batch.clone()
            }
            .compute_hash(organization),
        ];
        let different: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
    }
}
