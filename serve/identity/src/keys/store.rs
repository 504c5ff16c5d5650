//! Keys in the database: sealed, and changed by one process at a time.

use foundation::database::{Database, DatabaseError};
use foundation::seal::Sealed;
use foundation::write::transaction::Transaction;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::plan::Known;
use crate::settings::Algorithm;

/// By which processes wait for each other.
const LOCK: &str = "signing keys";

const ALL: &str = "SELECT id, algorithm, key_id, sealed, published, signs_from, published_until FROM signing_keys \
     ORDER BY signs_from, id";
const INSERT: &str = "INSERT INTO signing_keys (id, algorithm, key_id, sealed, published, created_at, signs_from) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
const RETIRE: &str = "UPDATE signing_keys SET published_until = $2 WHERE id = $1";
const FORGET: &str = "DELETE FROM signing_keys WHERE id = $1";

/// A key as it is kept.
#[derive(Debug)]
pub struct Stored {
    /// What is known of it.
    pub known: Known,
    /// Its private half.
    pub sealed: Sealed,
    /// Its public half.
    pub published: Value,
}

impl Stored {
    /// Nothing where a newer program has written it with an algorithm that is not known here.
    fn read(row: &Row) -> Option<Self> {
        let algorithm = Algorithm::named(row.get("algorithm"))?;
        Some(Self {
            known: Known {
                id: row.get("id"),
                algorithm,
                signs_from: row.get("signs_from"),
                published_until: row.get("published_until"),
                opens: true,
            },
            sealed: Sealed { key_id: row.get("key_id"), bytes: row.get("sealed") },
            published: row.get("published"),
        })
    }
}

/// All of them.
///
/// # Errors
/// [`DatabaseError`].
pub async fn all(database: &Database) -> Result<Vec<Stored>, DatabaseError> {
    let rows =
        database.ask(async |client| client.query(&client.prepare_cached(ALL).await?, &[]).await).await?;
    Ok(rows.iter().filter_map(Stored::read).collect())
}

/// All of them, within a transaction.
///
/// # Errors
/// [`DatabaseError`].
pub async fn all_within(transaction: &Transaction) -> Result<Vec<Stored>, DatabaseError> {
    Ok(transaction.query(ALL, &[]).await?.iter().filter_map(Stored::read).collect())
}

/// Waits until no other process changes them, until the transaction ends.
///
/// # Errors
/// [`DatabaseError`].
pub async fn alone(transaction: &Transaction) -> Result<(), DatabaseError> {
    transaction.alone(LOCK, Uuid::nil()).await
}

/// Keeps a new one with the transaction's end.
pub fn insert_later(
    transaction: &mut Transaction,
    known: Known,
    sealed: Sealed,
    published: Value,
    now: OffsetDateTime,
) {
    let values = vec![
        Box::new(known.id) as _,
        Box::new(known.algorithm.name()) as _,
        Box::new(sealed.key_id) as _,
        Box::new(sealed.bytes) as _,
        Box::new(published) as _,
        Box::new(now) as _,
        Box::new(known.signs_from) as _,
    ];
    transaction.later(INSERT, values);
}

/// Says with the transaction's end until when one is published.
pub fn retire_later(transaction: &mut Transaction, id: String, published_until: OffsetDateTime) {
    transaction.later(RETIRE, vec![Box::new(id), Box::new(published_until)]);
}

/// Removes one with the transaction's end.
pub fn forget_later(transaction: &mut Transaction, id: String) {
    transaction.later(FORGET, vec![Box::new(id)]);
}
