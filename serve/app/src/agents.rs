//! Agents: programs that act for an organization, each with tokens of its own. One file an operation.

pub mod create;
pub mod delete;
pub mod list;
pub mod show;
pub mod update;

use axum::http::StatusCode;
use foundation::auth::scope::Scope;
use foundation::etag::ETag;
use foundation::page::cursor::Position;
use foundation::problem::Problem;
use foundation::write::idempotency::Answer;
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

/// Seeing agents.
pub const READ: Scope = Scope::read("agents");
/// Making, changing and deleting them.
pub const WRITE: Scope = Scope::write("agents");

/// A program that acts for the organization.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Agent {
    /// Names it.
    pub id: Uuid,
    /// What people call it.
    #[schema(min_length = 1, max_length = 100, example = "Release bot")]
    pub name: String,
    /// What it is for.
    #[schema(max_length = 10000, example = "Opens a task for each release.")]
    pub description: String,
    /// Counts up with every change; it is the entity tag's.
    #[schema(minimum = 1)]
    pub version: i64,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Who made it: a person or an agent.
    pub created_by: Uuid,
    /// When it was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// Columns of an agent, as [`Agent::read`] wants them.
macro_rules! columns {
    () => {
        "id, name, description, version, created_at, created_by, updated_at"
    };
}
pub(crate) use columns;

impl Agent {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            name: row.get("name"),
            description: row.get("description"),
            version: row.get("version"),
            created_at: row.get("created_at"),
            created_by: row.get("created_by"),
            updated_at: row.get("updated_at"),
        }
    }

    /// The tag of this version.
    pub fn etag(&self) -> ETag {
        ETag::of_version(self.version)
    }

    fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id }
    }

    /// The answer to a write that has left this version.
    fn answer(&self, status: StatusCode) -> Result<Answer, Problem> {
        Ok(Answer::json(status, self)?.tagged(&self.etag()))
    }
}
