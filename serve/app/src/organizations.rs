//! Organizations: to each belongs everything else. One file an operation.

pub mod create;
pub mod delete;
pub mod export;
pub mod list;
pub mod purge;
pub mod restore;
pub mod show;
pub mod update;

use axum::http::StatusCode;
use foundation::auth::actor::{Actor, Person};
use foundation::auth::scope::Scope;
use foundation::etag::ETag;
use foundation::problem::{Problem, codes};
use foundation::write::Unit;
use foundation::write::idempotency::Answer;
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::state::App;

/// Seeing the organization.
pub const READ: Scope = Scope::read("organizations");
/// Changing and deleting it.
pub const WRITE: Scope = Scope::write("organizations");

/// That to which everything else belongs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Organization {
    /// Names it.
    pub id: Uuid,
    /// What people call it.
    #[schema(min_length = 1, max_length = 100, example = "Gardeners")]
    pub name: String,
    /// Counts up with every change; it is the entity tag's.
    #[schema(minimum = 1)]
    pub version: i64,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// When it was deleted. Its owners can restore it for 30 days.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub deleted_at: Option<OffsetDateTime>,
}

/// Columns of an organization, as [`Organization::read`] wants them.
macro_rules! columns {
    () => {
        "id, name, version, created_at, updated_at, deleted_at"
    };
}
pub(crate) use columns;

/// Whoever changes who belongs to the organization, or the organization itself, waits for others who do. Nobody else does.
const LOCK: &str = concat!("SELECT ", columns!(), " FROM organizations WHERE id = $1 FOR NO KEY UPDATE");

impl Organization {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            name: row.get("name"),
            version: row.get("version"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
            deleted_at: row.get("deleted_at"),
        }
    }

    /// The tag of this version.
    pub fn etag(&self) -> ETag {
        ETag::of_version(self.version)
    }

    /// The answer to a write that has left this version.
    fn answer(&self, status: StatusCode) -> Result<Answer, Problem> {
        Ok(Answer::json(status, self)?.tagged(&self.etag()))
    }
}

/// The organization `id`, as long as it is the one for which the actor asks: no other is there. Neither is it for a token
/// that is restricted to certain resources, unless it is among them.
///
/// # Errors
/// A problem `not-found`.
pub fn current(actor: &Actor, id: Uuid) -> Result<Uuid, Problem> {
    let own = actor.organization() == Some(id) && actor.may_touch(&[id]);
    own.then_some(id).ok_or_else(absent)
}

/// The organization as it is, which nobody else changes until the write ends; neither do its members.
///
/// # Errors
/// A problem `not-found`, or one of the database.
pub async fn lock(unit: &Unit, id: Uuid) -> Result<Organization, Problem> {
    let rows = unit.transaction.query(LOCK, &[&id]).await?;
    let there = rows.first().map(Organization::read).filter(|found| found.deleted_at.is_none());
    there.ok_or_else(absent)
}

/// The write's organization.
///
/// # Errors
/// A problem `not-found` if it was deleted, or one of the database.
pub async fn within(unit: &Unit) -> Result<Organization, Problem> {
    let rows = unit.transaction.query(show::FIND, &[&unit.origin().organization]).await?;
    rows.first().map(Organization::read).ok_or_else(absent)
}

/// Lets the person work in this organization from now on. What was written stays also where this fails: the person can
/// enter later.
pub async fn enter(app: &App, person: &Person, organization: Uuid) {
    if let Err(error) = app.authentication.sessions.enter(&person.session, Some(organization)).await {
        tracing::warn!(%error, "a session could not be told of its new organization");
    }
}

fn absent() -> Problem {
    Problem::new(&codes::NOT_FOUND).detail("There is no such organization.")
}
