//! Up to which role somebody may give roles, and change those who have them.

use std::sync::Arc;

use foundation::auth::actor::Actor;
use foundation::auth::delegation::Grant;
use foundation::problem::{Problem, codes};
use foundation::write::Unit;

use super::{WRITE, find};
use crate::role::Role;

/// What an agent gives at most, whatever its token allows: who manages an organization is decided by people.
const MOST_BY_AGENTS: Role = Role::Member;

/// Who decides about members.
#[derive(Debug)]
pub enum Authority {
    /// A person, by their role.
    Person(Role),
    /// An agent, by what its token allows.
    Agent(Arc<Grant>),
}

impl Authority {
    /// What the actor may decide in the write's organization, which is locked: a person's role is that of now, not of the
    /// request's beginning.
    ///
    /// # Errors
    /// A problem `insufficient-scope`, or one of the database.
    pub async fn of(unit: &Unit, actor: &Actor) -> Result<Self, Problem> {
        match actor {
            Actor::Agent(agent) => Ok(Self::Agent(Arc::clone(&agent.grant))),
            Actor::Person(person) => {
                let member = find(unit, person.id).await?;
                let role = member.map(|member| member.role).filter(|role| role.scopes().covers(&WRITE));
                role.map(Self::Person)
                    .ok_or_else(|| Problem::new(&codes::INSUFFICIENT_SCOPE).with("scope", WRITE.to_string()))
            }
        }
    }

    /// Refuses to change or remove who has this role.
    ///
    /// # Errors
    /// A problem `role-too-high`.
    pub fn require_to_change(&self, role: Role) -> Result<(), Problem> {
        let most = match self {
            Self::Person(own) => *own,
            Self::Agent(_) => MOST_BY_AGENTS,
        };
        let detail = "This member's role is above yours.";
        if role <= most { Ok(()) } else { Err(too_high().detail(detail)) }
    }

    /// Refuses to give this role. A token gives nothing that it does not have: otherwise whoever holds it could have
    /// themselves invited, and do as a person what the token does not allow.
    ///
    /// # Errors
    /// A problem `role-too-high`.
    pub fn require_to_give(&self, role: Role) -> Result<(), Problem> {
        let allowed = match self {
            Self::Person(own) => role <= *own,
            Self::Agent(grant) => {
                role <= MOST_BY_AGENTS
                    && grant.resources.is_none()
                    && grant.scopes.lacking(&role.scopes()).next().is_none()
            }
        };
        let detail = "You cannot give this role.";
        if allowed { Ok(()) } else { Err(too_high().error("/role", "role-too-high", detail)) }
    }
}

fn too_high() -> Problem {
    Problem::new(&crate::codes::ROLE_TOO_HIGH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use foundation::auth::scope::Scopes;
    use uuid::Uuid;

    const ROLES: [Role; 4] = [Role::Viewer, Role::Member, Role::Admin, Role::Owner];

    fn agent(scopes: Scopes) -> Authority {
        Authority::Agent(Arc::new(Grant::of_scopes(scopes)))
    }

    #[test]
    fn people_decide_up_to_their_own_role() {
        for own in ROLES {
            let authority = Authority::Person(own);
            for role in ROLES {
                assert_eq!(authority.require_to_give(role).is_ok(), role <= own, "{own:?} gives {role:?}");
                assert_eq!(
                    authority.require_to_change(role).is_ok(),
                    role <= own,
                    "{own:?} changes {role:?}"
                );
            }
        }
    }

    #[test]
    fn agents_give_what_their_token_has_and_no_more_than_a_members_role() {
        let all = agent(Role::Owner.scopes());
        for role in ROLES {
            assert_eq!(all.require_to_give(role).is_ok(), role <= Role::Member, "{role:?}");
            assert_eq!(all.require_to_change(role).is_ok(), role <= Role::Member, "{role:?}");
        }
        let narrow = agent(Role::Viewer.scopes().iter().cloned().chain([WRITE]).collect());
        assert!(narrow.require_to_give(Role::Viewer).is_ok());
        assert!(narrow.require_to_give(Role::Member).is_err());
        assert!(agent(Scopes::from_iter([WRITE])).require_to_give(Role::Viewer).is_err());
    }

    #[test]
    fn a_token_for_certain_resources_gives_no_role() {
        let grant = Grant { resources: Some([Uuid::nil()].into()), ..Grant::of_scopes(Role::Owner.scopes()) };
        assert!(Authority::Agent(Arc::new(grant)).require_to_give(Role::Viewer).is_err());
    }
}
