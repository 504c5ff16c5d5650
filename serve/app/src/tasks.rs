//! Tasks of projects: the worked example of a product's own resource. One file an operation.

pub mod create;
pub mod delete;
pub mod list;
pub mod restore;
pub mod show;
pub mod update;

use axum::http::StatusCode;
use foundation::auth::scope::Scope;
use foundation::etag::ETag;
use foundation::page::cursor::Position;
use foundation::problem::Problem;
use foundation::write::idempotency::Answer;
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

/// Seeing tasks.
pub const READ: Scope = Scope::read("tasks");
/// Making, changing, deleting and restoring them.
pub const WRITE: Scope = Scope::write("tasks");

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TaskState)]
pub enum State {
    /// Nobody has begun.
    Open,
    /// Somebody works on it.
    Started,
    /// It is done.
    Done,
}

impl State {
    /// As the database has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Started => "started",
            Self::Done => "done",
        }
    }

    fn stored(text: &str) -> Self {
        match text {
            "done" => Self::Done,
            "started" => Self::Started,
            _ => Self::Open,
        }
    }
}

/// Something to be done.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Task {
    /// Names it.
    pub id: Uuid,
    /// The project that it belongs to.
    pub project_id: Uuid,
    /// In a few words.
    #[schema(min_length = 1, max_length = 200, example = "Water the plants")]
    pub title: String,
    /// All there is to know.
    #[schema(max_length = 10000, example = "Twice a week.")]
    pub description: String,
    /// Where it stands.
    pub state: State,
    /// By when it should be done.
    #[schema(value_type = Option<String>, format = Date, example = "2026-12-24", required = true)]
    pub due_on: Option<Date>,
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
    /// When it was deleted. It can be restored for 30 days.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub deleted_at: Option<OffsetDateTime>,
}

/// Columns of a task, as [`Task::read`] wants them.
macro_rules! columns {
    () => {
        "id, project_id, title, description, state, due_on, version, created_at, created_by, updated_at, deleted_at"
    };
}
pub(crate) use columns;

/// A task goes with its project: while that is deleted, it is not there.
macro_rules! project_is_there {
    () => {
        "EXISTS (SELECT FROM projects WHERE projects.organization_id = tasks.organization_id \
         AND projects.id = tasks.project_id AND projects.deleted_at IS NULL)"
    };
}
pub(crate) use project_is_there;

impl Task {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            project_id: row.get("project_id"),
            title: row.get("title"),
            description: row.get("description"),
            state: State::stored(row.get("state")),
            due_on: row.get("due_on"),
            version: row.get("version"),
            created_at: row.get("created_at"),
            created_by: row.get("created_by"),
            updated_at: row.get("updated_at"),
            deleted_at: row.get("deleted_at"),
        }
    }

    /// Whether it should have been done before this day.
    pub fn is_overdue(&self, today: &Date) -> bool {
        self.state != State::Done && self.due_on.is_some_and(|due_on| due_on < *today)
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

    /// What webhooks are told: what fits, and where the rest is.
    fn summary(&self) -> Summary<'_> {
        Summary {
            id: self.id,
            project_id: self.project_id,
            title: &self.title,
            state: self.state,
            version: self.version,
        }
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    id: Uuid,
    project_id: Uuid,
    title: &'a str,
    state: State,
    version: i64,
}
