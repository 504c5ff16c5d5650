//! Idempotency-Key: a write happens once, however often it is asked for.
//!
//! A key belongs to its caller, its route and its payload, and to the organization and the token with which it was sent.
//! While the first request runs, others with its key get 409; afterwards they get its answer again, byte for byte, with
//! `Idempotency-Replayed: true`, until the key expires.

use std::fmt;
use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use ring::digest::{Context, SHA256};
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::transaction::{Parameter, Transaction};
use super::{Ask, Writes};
use crate::audit::Origin;
use crate::clock::Randomness;
use crate::problem::{Problem, codes};
use crate::seal::{KeyRing, SealError, Sealed};

pub use super::answer::Answer;

/// The table and its grants.
pub const MIGRATION: &str = include_str!("../../migrations/idempotency.sql");

/// Says that an answer is given again.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Carries the key.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Answers are kept this long, which the description of the API publishes; afterwards a key is free again.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// A longer key is refused.
pub const LONGEST: usize = 255;
/// What the header holds, for whoever sends one.
pub(crate) fn pattern() -> String {
    let key = format!(r"[!#-\[\]-~]{{1,{LONGEST}}}");
    format!("^(?:\"{key}\"|{key})$")
}

/// Takes the key's lock until the transaction ends, if nobody has it, and looks up what is kept.
pub(super) const LOOK_UP: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0)) AS free, \
     kept.route, kept.fingerprint, kept.status, kept.headers, kept.body, kept.sealed_by, kept.expires_at \
     FROM (SELECT) AS one LEFT JOIN idempotency_keys AS kept ON kept.caller = $1 AND kept.key = $2";
const KEEP: &str = "INSERT INTO idempotency_keys (caller, key, route, fingerprint, status, headers, body, sealed_by, \
     expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
/// Only what has expired: a live answer is never forgotten, whoever asks.
const FORGET: &str = "DELETE FROM idempotency_keys WHERE caller = $1 AND key = $2 AND expires_at <= $3";

/// A key as a caller chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Reads the header: a string in quotation marks (RFC 8941) or, as many clients send it, bare. None where there is no
    /// such header.
    ///
    /// # Errors
    /// A problem when there are several or it is no key.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let key = value.to_str().ok().and_then(Self::parse).filter(|_| values.next().is_none());
        key.map(Some).ok_or_else(|| Problem::new(&codes::IDEMPOTENCY_KEY_INVALID))
    }

    /// Reads a key where it comes by another way than the header.
    ///
    /// # Errors
    /// A problem when it is no key.
    pub fn of_text(text: &str) -> Result<Self, Problem> {
        Self::parse(text).ok_or_else(|| Problem::new(&codes::IDEMPOTENCY_KEY_INVALID))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let key = match text.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"')?,
            None => text,
        };
        let visible = key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        (visible && (1..=LONGEST).contains(&key.len())).then(|| Self(key.to_owned()))
    }
}

/// A key with all that it belongs to.
#[derive(Debug)]
pub(super) struct Keyed {
    key: String,
    caller: String,
    route: String,
    fingerprint: Vec<u8>,
    /// Whether what is kept for the key has expired.
    pub(super) replaces: bool,
}

/// What is kept for a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Expired,
    Answered(Answer),
}

impl Keyed {
    pub(super) fn new(key: &Key, ask: &Ask<'_>) -> Self {
        let mut all = Context::new(&SHA256);
        for place in [ask.works_in, ask.origin.token_id] {
            all.update(place.unwrap_or_default().as_bytes());
        }
        all.update(ask.payload);
        Self {
            key: key.0.clone(),
            caller: ask.origin.caller(),
            route: ask.route.to_owned(),
            fingerprint: all.finish().as_ref().to_vec(),
            replaces: false,
        }
    }

    /// The path of the route, which begins with its method.
    pub(super) fn path(&self) -> &str {
        self.route.split_once(' ').map_or(self.route.as_str(), |(_, path)| path)
    }

    pub(super) fn lookup(&self) -> [&(dyn ToSql + Sync); 2] {
        [&self.caller, &self.key]
    }

    /// What the lookup found; a problem where the key may not be used now, or not for this.
    pub(super) fn judge(&self, row: &Row, now: OffsetDateTime, writes: &Writes) -> Result<Found, Problem> {
        let expires: Option<OffsetDateTime> = row.get("expires_at");
        match expires {
            Some(expires) if expires > now => {
                let same = row.get::<_, &str>("route") == self.route
                    && row.get::<_, &[u8]>("fingerprint") == self.fingerprint;
                if !same {
                    return Err(Problem::new(&codes::IDEMPOTENCY_KEY_REUSED));
                }
                let body = self.opened(row, writes.keys.as_deref())?;
                Answer::from_row(row, body, writes.problems)
                    .map(Found::Answered)
                    .ok_or_else(|| Problem::new(&codes::INTERNAL))
            }
            _ if !row.get::<_, bool>("free") => Err(in_use()),
            Some(_) => Ok(Found::Expired),
            None => Ok(Found::Nothing),
        }
    }

    /// Looks up what another request has kept for the key meanwhile.
    pub(super) async fn answer_again(
        &self,
        writes: &Writes,
        origin: &Origin,
        now: OffsetDateTime,
    ) -> Result<Response, Problem> {
        let values = self.lookup();
        let first = Some((LOOK_UP, values.as_slice()));
        let (_, row) =
            Transaction::begin(&writes.database, origin.organization, &origin.request_id, first).await?;
        match row.map(|row| self.judge(&row, now, writes)).transpose()? {
            Some(Found::Answered(answer)) => Ok(answer.replay()),
            _ => Err(in_use()),
        }
    }

    /// What is kept of the answer's body, and by which key it is sealed.
    pub(super) fn kept(
        &self,
        answer: &Answer,
        keys: Option<&KeyRing>,
        randomness: &dyn Randomness,
    ) -> Result<(Vec<u8>, Option<String>), Problem> {
        if !answer.is_secret() {
            return Ok((answer.body().to_vec(), None));
        }
        let keys = keys.ok_or_else(|| unusable(&"there are no keys to seal it with"))?;
        let sealed = keys.seal(answer.body(), self.owner().as_bytes(), randomness);
        sealed.map(|sealed| (sealed.bytes, Some(sealed.key_id))).map_err(|error| unusable(&error))
    }

    fn opened(&self, row: &Row, keys: Option<&KeyRing>) -> Result<Vec<u8>, Problem> {
        let bytes = row.get("body");
        let Some(key_id) = row.get::<_, Option<String>>("sealed_by") else { return Ok(bytes) };
        let keys = keys.ok_or_else(|| unusable(&SealError::NoKey))?;
        keys.open(&Sealed { key_id, bytes }, self.owner().as_bytes()).map_err(|error| unusable(&error))
    }

    /// What an answer is sealed for: moved to another caller's key it does not open. Neither part has a space.
    fn owner(&self) -> String {
        format!("idempotency {} {}", self.caller, self.key)
    }

    /// Keeps the answer with the transaction, in place of one that has expired.
    pub(super) fn keep_later(
        &self,
        transaction: &mut Transaction,
        answer: &Answer,
        (body, sealed_by): (Vec<u8>, Option<String>),
        (now, expires): (OffsetDateTime, OffsetDateTime),
    ) {
        if self.replaces {
            let values: Vec<Parameter> =
                vec![Box::new(self.caller.clone()), Box::new(self.key.clone()), Box::new(now)];
            transaction.later(FORGET, values);
        }
        transaction.later(
            KEEP,
            vec![
                Box::new(self.caller.clone()),
                Box::new(self.key.clone()),
                Box::new(self.route.clone()),
                Box::new(self.fingerprint.clone()),
                Box::new(i16::try_from(answer.status().as_u16()).unwrap_or(i16::MAX)),
                Box::new(answer.kept_headers()),
                Box::new(body),
                Box::new(sealed_by),
                Box::new(expires),
            ],
        );
    }
}

/// The problem of an answer with a secret that cannot be kept, or be given again.
fn unusable(error: &dyn fmt::Display) -> Problem {
    tracing::error!(%error, "an answer that holds a secret cannot be sealed or opened");
    Problem::new(&codes::INTERNAL)
}

/// The problem of a key whose first request has not ended.
pub(super) fn in_use() -> Problem {
    Problem::new(&codes::IDEMPOTENCY_KEY_IN_USE).header(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// Whether a commit was refused because the key was kept meanwhile.
pub(super) fn is_taken(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|refusal| {
        *refusal.code() == SqlState::UNIQUE_VIOLATION && refusal.table() == Some("idempotency_keys")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<Key>, Problem> {
        let header = |value: &&str| (HEADER, HeaderValue::from_str(value).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in values.iter().map(header) {
            headers.append(name, value);
        }
        Key::read(&headers)
    }

    #[test]
    fn a_key_is_quoted_or_bare() {
        let key = Some(Key("8e03978e-40d5".to_owned()));
        assert_eq!(read(&["\"8e03978e-40d5\""]).unwrap(), key);
        assert_eq!(read(&[" 8e03978e-40d5 "]).unwrap(), key);
        assert_eq!(read(&[]).unwrap(), None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "x".repeat(256);
        for values in [&[""][..], &["\"\""], &["\"a"], &["a b"], &["a\"b"], &["a", "b"], &[long.as_str()]] {
            let problem = read(values).unwrap_err();
            assert_eq!(problem.code(), &codes::IDEMPOTENCY_KEY_INVALID, "{values:?}");
        }
        assert!(read(&["x".repeat(255).as_str()]).is_ok());
    }
}
