//! The people of an organization. One file an operation.

pub mod authority;
pub mod delete;
pub mod list;
pub mod show;
pub mod update;

use axum::http::StatusCode;
use foundation::audit::Event;
use foundation::auth::scope::Scope;
use foundation::etag::ETag;
use foundation::page::cursor::Position;
use foundation::problem::{Problem, codes};
use foundation::write::Unit;
use foundation::write::idempotency::Answer;
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::role::Role;

/// Seeing members and invitations.
pub const READ: Scope = Scope::read("members");
/// Inviting, changing roles, removing.
pub const WRITE: Scope = Scope::write("members");

/// Somebody who belongs to an organization.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Member {
    /// Who.
    pub person_id: Uuid,
    /// What the person is called; may be empty.
    #[schema(example = "Ada Lovelace")]
    pub name: String,
    /// The person's e-mail address, where the person's login provider has said one.
    #[schema(format = Email, required = true)]
    pub email: Option<String>,
    /// What the person is in the organization.
    pub role: Role,
    /// Counts up with every change; it is the entity tag's.
    #[schema(minimum = 1)]
    pub version: i64,
    /// Since when the person has belonged to it.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the role last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// Columns of a member, as [`Member::read`] wants them, and where they come from.
macro_rules! selected {
    () => {
        "SELECT m.person_id, p.name, p.email, m.role, m.version, m.created_at, m.updated_at \
         FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.organization_id = $1"
    };
}
pub(crate) use selected;

const FIND: &str = concat!(selected!(), " AND m.person_id = $2");
const ADD: &str = "INSERT INTO memberships (organization_id, person_id, role, created_at, updated_at) \
                   VALUES ($1, $2, $3, $4, $4) ON CONFLICT DO NOTHING RETURNING person_id";

impl Member {
    fn read(row: &Row) -> Self {
        Self {
            person_id: row.get("person_id"),
            name: row.get("name"),
            email: row.get("email"),
            role: Role::stored(row.get("role")),
            version: row.get("version"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
        }
    }

    /// The tag of this version.
    pub fn etag(&self) -> ETag {
        ETag::of_version(self.version)
    }

    fn position(&self) -> Position {
        Position { at: self.created_at, id: self.person_id }
    }

    /// The answer to a write that has left this version.
    pub fn answer(&self, status: StatusCode) -> Result<Answer, Problem> {
        Ok(Answer::json(status, self)?.tagged(&self.etag()))
    }
}

/// The member of the write's organization; nothing if the person is none.
///
/// # Errors
/// A problem of the database.
pub async fn find(unit: &Unit, person: Uuid) -> Result<Option<Member>, Problem> {
    let organization = unit.origin().organization;
    let rows = unit.transaction.query(FIND, &[&organization, &person]).await?;
    Ok(rows.first().map(Member::read))
}

/// Makes a person a member of the write's organization; false if the person is one already, and stays what they are.
///
/// # Errors
/// A problem of the database.
pub async fn add(unit: &mut Unit, person: Uuid, role: Role) -> Result<bool, Problem> {
    let (organization, now) = (unit.origin().organization, unit.now());
    let added = unit.transaction.query(ADD, &[&organization, &person, &role.as_str(), &now]).await?;
    if added.is_empty() {
        return Ok(false);
    }
    unit.audit(Event::new("member.create", "member").of(person).changed("role", (), role.as_str()));
    Ok(true)
}

fn absent() -> Problem {
    Problem::new(&codes::NOT_FOUND).detail("There is no such member.")
}
