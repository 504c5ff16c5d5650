//! Opaque cursors: where a page ended, signed, and bound to the list that it was made for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::problem::{Problem, codes};
use crate::signing::{ShortSecret, SigningKey};

const VERSION: u8 = 1;
/// Version, microseconds, identifier.
const BODY: usize = 1 + 8 + 16;
/// Of the mark this much: a forger has 2^128 to guess, and a cursor stays short.
const MARK: usize = 16;
const ENCODED: usize = ((BODY + MARK) * 4).div_ceil(3);

/// Where an item stands in the order of `created_at` and `id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// When it was created, as PostgreSQL has it: in microseconds.
    pub at: OffsetDateTime,
    /// Its identifier.
    pub id: Uuid,
}

/// Makes and reads cursors. All processes of an application share its secret.
#[derive(Debug, Clone)]
pub struct CursorKey(SigningKey);

impl CursorKey {
    /// The key out of the application's secret.
    ///
    /// # Errors
    /// [`ShortSecret`].
    pub fn new(secret: &[u8]) -> Result<Self, ShortSecret> {
        SigningKey::new(secret, "cursor").map(Self)
    }

    /// A cursor to what comes after `position` in the list that `query` names.
    #[must_use]
    pub fn seal(&self, position: &Position, query: &str) -> String {
        let microseconds = position.at.unix_timestamp_nanos() / 1_000;
        let mut cursor = Vec::with_capacity(BODY + MARK);
        cursor.push(VERSION);
        cursor.extend_from_slice(&i64::try_from(microseconds).unwrap_or(i64::MAX).to_be_bytes());
        cursor.extend_from_slice(position.id.as_bytes());
        let mark = self.0.sign(&[&cursor, query.as_bytes()]);
        cursor.extend_from_slice(&mark[..MARK]);
        URL_SAFE_NO_PAD.encode(cursor)
    }

    /// The position in a cursor that this application made for this list.
    ///
    /// # Errors
    /// A problem `bad-cursor`.
    pub fn open(&self, cursor: &str, query: &str) -> Result<Position, Problem> {
        self.opened(cursor, query).ok_or_else(|| Problem::new(&codes::BAD_CURSOR))
    }

    fn opened(&self, cursor: &str, query: &str) -> Option<Position> {
        // The length first: what is not a cursor costs nothing.
        let bytes = (cursor.len() == ENCODED).then(|| URL_SAFE_NO_PAD.decode(cursor).ok())??;
        let (body, mark) = bytes.split_at_checked(BODY)?;
        let expected = self.0.sign(&[body, query.as_bytes()]);
        if !same(&expected[..MARK], mark) || body[0] != VERSION {
            return None;
        }
        let microseconds = i64::from_be_bytes(body[1..9].try_into().ok()?);
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * 1_000).ok()?;
        Some(Position { at, id: Uuid::from_slice(&body[9..]).ok()? })
    }
}

/// Compares in a time that does not depend on where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (one, other)| sum | (one ^ other)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garbage::Garbage;

    fn key() -> CursorKey {
        CursorKey::new(&[1; 32]).unwrap()
    }

    fn position() -> Position {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_800_000_000_123_456_000).unwrap();
        Position { at, id: Uuid::from_u128(7) }
    }

    #[test]
    fn a_cursor_is_read_back_for_its_list_alone() {
        let cursor = key().seal(&position(), "tasks?state=open");
        assert_eq!(key().open(&cursor, "tasks?state=open").unwrap(), position());
        assert!(key().open(&cursor, "tasks?state=done").is_err());
        assert!(CursorKey::new(&[2; 32]).unwrap().open(&cursor, "tasks?state=open").is_err());
    }

    #[test]
    fn every_changed_or_missing_character_is_refused() {
        let cursor = key().seal(&position(), "tasks");
        for place in 0..cursor.len() {
            assert!(key().open(&cursor[..place], "tasks").is_err());
            let mut changed = cursor.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert!(key().open(std::str::from_utf8(&changed).unwrap(), "tasks").is_err(), "at {place}");
        }
        assert!(key().open(&format!("{cursor}="), "tasks").is_err());
    }

    #[test]
    fn garbage_is_refused() {
        let mut garbage = Garbage::new(3);
        for _ in 0..10_000 {
            let mut bytes = garbage.bytes(60);
            assert!(key().open(&String::from_utf8_lossy(&bytes), "tasks").is_err());
            bytes.resize(BODY + MARK, 0);
            bytes[0] = VERSION;
            assert!(key().open(&URL_SAFE_NO_PAD.encode(&bytes), "tasks").is_err());
        }
    }
}
