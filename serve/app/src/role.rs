//! What people may do in an organization, by their role there.

use std::future::Future;
use std::pin::Pin;

use foundation::auth::layer::Roles;
use foundation::auth::scope::{Scope, Scopes};
use foundation::database::Database;
use foundation::problem::Problem;
use foundation::write::transaction::Transaction;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::{agents, audit_events, members, organizations, projects, tasks, tokens, webhooks};

const FIND: &str = "SELECT m.role FROM memberships m JOIN organizations o ON o.id = m.organization_id \
                    WHERE m.organization_id = $1 AND m.person_id = $2 AND o.deleted_at IS NULL";

/// What somebody is in an organization. Each may do what those before it may, and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees projects, tasks and members.
    Viewer,
    /// Changes projects and tasks.
    Member,
    /// Manages members, agents, tokens and webhooks, and sees the audit log.
    Admin,
    /// Changes and deletes the organization itself.
    Owner,
}

/// The scopes that each role adds.
const ADDED: [(Role, &[Scope]); 4] = [
    (Role::Viewer, &[organizations::READ, members::READ, projects::READ, tasks::READ]),
    (Role::Member, &[projects::WRITE, tasks::WRITE, agents::READ]),
    (
        Role::Admin,
        &[
            members::WRITE,
            agents::WRITE,
            tokens::READ,
            tokens::WRITE,
            webhooks::READ,
            webhooks::WRITE,
            audit_events::READ,
        ],
    ),
    (Role::Owner, &[organizations::WRITE]),
];

impl Role {
    /// What the role allows.
    pub fn scopes(self) -> Scopes {
        ADDED
            .iter()
            .filter(|(role, _)| *role <= self)
            .flat_map(|(_, scopes)| scopes.iter().cloned())
            .collect()
    }

    /// As the database has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// What somebody is who has it.
    pub fn with_article(self) -> &'static str {
        match self {
            Self::Viewer => "a viewer",
            Self::Member => "a member",
            Self::Admin => "an admin",
            Self::Owner => "an owner",
        }
    }

    /// From the database, which holds no other.
    pub fn stored(text: &str) -> Self {
        match text {
            "owner" => Self::Owner,
            "admin" => Self::Admin,
            "member" => Self::Member,
            // Whatever else might stand there allows the least.
            _ => Self::Viewer,
        }
    }
}

/// A scope that this application knows.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Scope")]
pub struct KnownScope(Scope);

impl KnownScope {
    /// The scope.
    pub fn into_scope(self) -> Scope {
        self.0
    }
}

impl TryFrom<Scope> for KnownScope {
    type Error = &'static str;

    fn try_from(scope: Scope) -> Result<Self, &'static str> {
        if all_scopes().covers(&scope) { Ok(Self(scope)) } else { Err("no scope of this application") }
    }
}

impl PartialSchema for KnownScope {
    fn schema() -> RefOr<Schema> {
        let about = "What may be done with one kind of resource.";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(about))
            .enum_values(Some(all_scopes().to_texts()))
            .into()
    }
}

impl ToSchema for KnownScope {
    fn name() -> std::borrow::Cow<'static, str> {
        "Scope".into()
    }
}

/// Every scope that a token of this application can have.
pub fn all_scopes() -> Scopes {
    Role::Owner.scopes()
}

/// Looks memberships up in the database, at each request: who was removed can do nothing more.
#[derive(Debug)]
pub struct Memberships(pub Database);

impl Roles for Memberships {
    fn scopes<'a>(
        &'a self,
        person: Uuid,
        organization: Option<Uuid>,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Scopes>, Problem>> + Send + 'a>> {
        Box::pin(async move {
            let Some(organization) = organization else { return Ok(None) };
            let request_id = foundation::request::current().map(|context| context.request_id);
            let name = request_id.as_deref().unwrap_or_default();
            let rows =
                Transaction::read(&self.0, Some(organization), name, FIND, &[&organization, &person]).await?;
            Ok(rows.first().map(|row| Role::stored(row.get(0)).scopes()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_those_before_it_may() {
        let roles = [Role::Viewer, Role::Member, Role::Admin, Role::Owner];
        for pair in roles.windows(2) {
            let (less, more) = (pair[0].scopes(), pair[1].scopes());
            assert_eq!(more.lacking(&less).count(), 0, "{pair:?}");
            assert!(less.lacking(&more).count() > 0, "{pair:?}");
        }
    }

    #[test]
    fn a_viewer_writes_nothing() {
        let scopes = Role::Viewer.scopes();
        assert!(scopes.iter().all(|scope| scope.access() == foundation::auth::scope::Access::Read));
    }

    #[test]
    fn stored_roles_are_read_back() {
        for role in [Role::Viewer, Role::Member, Role::Admin, Role::Owner] {
            assert_eq!(Role::stored(role.as_str()), role);
        }
        assert_eq!(Role::stored("emperor"), Role::Viewer);
    }
}
