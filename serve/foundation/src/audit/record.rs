//! An event as it is kept: what a search answers with, what an export writes and what the chain covers.

use ring::digest::{Context, SHA256};
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Columns of an event, as [`Record::read`] wants them. JSON comes as PostgreSQL writes it, number for number.
macro_rules! columns {
    () => {
        "id, organization_id, position::text::bigint AS position, occurred_at, actor_kind, actor_id, token_id, \
         address, user_agent, request_id, action, resource_kind, resource_id, result, changes::text AS changes"
    };
}
pub(super) use columns;

/// Something that was done, or that somebody tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub struct Record {
    /// Its identifier.
    pub id: Uuid,
    /// The organization that it belongs to.
    #[serde(skip)]
    pub organization_id: Uuid,
    /// The transaction that wrote it.
    #[serde(skip)]
    pub position: i64,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    pub occurred_at: OffsetDateTime,
    /// `person`, `agent`, `system` or `stranger`.
    #[schema(example = "agent")]
    pub actor_kind: String,
    /// Who; nobody for the system and for strangers.
    #[schema(required = true)]
    pub actor_id: Option<Uuid>,
    /// With which token.
    #[schema(required = true)]
    pub token_id: Option<Uuid>,
    /// From which address.
    #[schema(required = true, example = "192.0.2.1")]
    pub address: Option<String>,
    /// What the client calls itself.
    #[schema(required = true, example = "curl/8.5.0")]
    pub user_agent: Option<String>,
    /// In which request.
    #[schema(example = "01936b2e-7c1a-7d53-9a53-5a6f0c2b9e11")]
    pub request_id: String,
    /// What was done.
    #[schema(example = "task.update")]
    pub action: String,
    /// To which kind of resource.
    #[schema(example = "task")]
    pub resource_kind: String,
    /// To which.
    #[schema(required = true, example = "01936b2e-7c1a-7d53-9a53-5a6f0c2b9e12")]
    pub resource_id: Option<String>,
    /// `success`, `denied` or `failed`.
    #[schema(example = "success")]
    pub result: String,
    /// Fields with their values before and after; of a secret only that it changed.
    #[serde(serialize_with = "as_json")]
    #[schema(
        value_type = std::collections::BTreeMap<String, serde_json::Value>,
        example = json!({"title": ["Water", "Water the plants"], "secret": "redacted"})
    )]
    pub changes: String,
}

fn as_json<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<&RawValue>(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

impl Record {
    pub(super) fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            organization_id: row.try_get("organization_id")?,
            position: row.try_get("position")?,
            occurred_at: row.try_get("occurred_at")?,
            actor_kind: row.try_get("actor_kind")?,
            actor_id: row.try_get("actor_id")?,
            token_id: row.try_get("token_id")?,
            address: row.try_get("address")?,
            user_agent: row.try_get("user_agent")?,
            request_id: row.try_get("request_id")?,
            action: row.try_get("action")?,
            resource_kind: row.try_get("resource_kind")?,
            resource_id: row.try_get("resource_id")?,
            result: row.try_get("result")?,
            changes: row.try_get("changes")?,
        })
    }

    /// The hash of every column in version 1: SHA-256 of `bastide-audit-event-1` and then, in the table's order, each
    /// column as a byte 0 for null, or a byte 1, its length in four bytes and its value. UUIDs are their 16 bytes,
    /// `position` and `occurred_at` (microseconds since 1970) 8 bytes, JSON what PostgreSQL's `jsonb` writes as text.
    /// All numbers are big-endian.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut context = Context::new(&SHA256);
        context.update(b"bastide-audit-event-1");
        let fields: [Option<&[u8]>; 15] = [
            Some(self.id.as_bytes()),
            Some(self.organization_id.as_bytes()),
            Some(&self.position.to_be_bytes()),
            Some(&microseconds(self.occurred_at).to_be_bytes()),
            Some(self.actor_kind.as_bytes()),
            self.actor_id.as_ref().map(|id| id.as_bytes().as_slice()),
            self.token_id.as_ref().map(|id| id.as_bytes().as_slice()),
            self.address.as_deref().map(str::as_bytes),
            self.user_agent.as_deref().map(str::as_bytes),
            Some(self.request_id.as_bytes()),
            Some(self.action.as_bytes()),
            Some(self.resource_kind.as_bytes()),
            self.resource_id.as_deref().map(str::as_bytes),
            Some(self.result.as_bytes()),
            Some(self.changes.as_bytes()),
        ];
        for field in fields {
            match field {
                None => context.update(&[0]),
                Some(bytes) => {
                    context.update(&[1]);
                    // PostgreSQL's values end at 1 GiB.
                    context.update(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
                    context.update(bytes);
                }
            }
        }
        finish(context)
    }
}

pub(super) fn microseconds(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

pub(super) fn finish(context: Context) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::audit) fn record() -> Record {
        Record {
            id: Uuid::from_u128(1),
            organization_id: Uuid::from_u128(2),
            position: 3,
            occurred_at: OffsetDateTime::UNIX_EPOCH,
            actor_kind: "agent".to_owned(),
            actor_id: None,
            token_id: None,
            address: None,
            user_agent: None,
            request_id: "r".to_owned(),
            action: "a".to_owned(),
            resource_kind: "k".to_owned(),
            resource_id: None,
            result: "success".to_owned(),
            changes: "{}".to_owned(),
        }
    }

    #[test]
    fn every_column_is_hashed_in_its_place() {
        let of = |change: fn(&mut Record)| {
            let mut record = record();
            change(&mut record);
            record.hash()
        };
        let hashes = [
            of(|_| ()),
            of(|record| record.id = Uuid::nil()),
            of(|record| record.organization_id = Uuid::nil()),
            of(|record| record.position = 4),
            of(|record| record.occurred_at += std::time::Duration::from_micros(1)),
            of(|record| record.actor_kind.push('x')),
            of(|record| record.actor_id = Some(Uuid::nil())),
            of(|record| record.token_id = Some(Uuid::nil())),
            of(|record| record.address = Some("x".to_owned())),
            of(|record| record.user_agent = Some("x".to_owned())),
            of(|record| record.user_agent = Some(String::new())),
            of(|record| record.request_id.push('x')),
            of(|record| record.action.push('x')),
            of(|record| record.action = "ak".to_owned()),
            of(|record| record.resource_kind.push('x')),
            of(|record| record.resource_id = Some("x".to_owned())),
            of(|record| record.result.push('x')),
            of(|record| record.changes.push(' ')),
            of(|record| (record.action, record.resource_kind) = ("ak".to_owned(), String::new())),
        ];
        let different: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
    }
}
