//! Who asks: a person by a session, or an agent by a token.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::request::Parts;
use uuid::Uuid;

use super::delegation::Grant;
use super::scope::{Scope, Scopes};
use super::session::SessionKey;
use crate::problem::{Problem, codes};

/// Who asks.
#[derive(Debug, Clone)]
pub enum Actor {
    /// Somebody who signed in.
    Person(Person),
    /// A program with a token.
    Agent(Agent),
}

/// Somebody who signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who.
    pub id: Uuid,
    /// The organization in which the person works now.
    pub organization: Option<Uuid>,
    /// What the person's role there allows.
    pub scopes: Scopes,
    /// By which session.
    pub session: SessionKey,
    /// By which it is shown.
    pub session_id: Uuid,
}

/// A program with a token.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Which agent.
    pub id: Uuid,
    /// The organization that it belongs to.
    pub organization: Uuid,
    /// By which token.
    pub token_id: Uuid,
    /// What the token allows.
    pub grant: Arc<Grant>,
}

impl Actor {
    /// The person's or agent's identifier.
    #[must_use]
    pub fn id(&self) -> Uuid {
        match self {
            Self::Person(person) => person.id,
            Self::Agent(agent) => agent.id,
        }
    }

    /// `person` or `agent`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::Agent(_) => "agent",
        }
    }

    /// The organization on whose behalf the actor asks.
    #[must_use]
    pub fn organization(&self) -> Option<Uuid> {
        match self {
            Self::Person(person) => person.organization,
            Self::Agent(agent) => Some(agent.organization),
        }
    }

    /// The organization on whose behalf the actor asks, where everything that is asked for belongs to one.
    ///
    /// # Errors
    /// A problem `not-found` for a person who is in none: nothing there is theirs.
    pub fn organization_or_refuse(&self) -> Result<Uuid, Problem> {
        self.organization().ok_or_else(|| {
            Problem::new(&codes::NOT_FOUND).detail("You work in no organization; enter or make one first.")
        })
    }

    /// The person who asks, where no token may.
    ///
    /// # Errors
    /// A problem `people-only`.
    pub fn person_or_refuse(&self) -> Result<&Person, Problem> {
        match self {
            Self::Person(person) => Ok(person),
            Self::Agent(_) => Err(Problem::new(&codes::PEOPLE_ONLY)),
        }
    }

    /// The agent's token.
    #[must_use]
    pub fn token_id(&self) -> Option<Uuid> {
        match self {
            Self::Person(_) => None,
            Self::Agent(agent) => Some(agent.token_id),
        }
    }

    /// A stable key of who calls: `person:UUID` or `agent:UUID`.
    #[must_use]
    pub fn caller(&self) -> String {
        format!("{}:{}", self.kind(), self.id())
    }

    /// What the actor may do, and so hand on.
    #[must_use]
    pub fn grant(&self) -> Grant {
        match self {
            Self::Person(person) => Grant::of_scopes(person.scopes.clone()),
            Self::Agent(agent) => Grant::clone(&agent.grant),
        }
    }

    /// Refuses unless the actor has this scope.
    ///
    /// # Errors
    /// A problem `insufficient-scope` that names it.
    pub fn require(&self, scope: &Scope) -> Result<(), Problem> {
        let scopes = match self {
            Self::Person(person) => &person.scopes,
            Self::Agent(agent) => &agent.grant.scopes,
        };
        if scopes.covers(scope) {
            return Ok(());
        }
        let problem = Problem::new(&codes::INSUFFICIENT_SCOPE).with("scope", scope.to_string());
        // A scope is made of characters that a header may have; if it were not, the body still names it.
        Err(match HeaderValue::try_from(format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"")) {
            Ok(value) if matches!(self, Self::Agent(_)) => problem.header(WWW_AUTHENTICATE, value),
            _ => problem,
        })
    }

    /// Whether one of these, such as a thing and what it is part of, is among the resources to which the token is
    /// restricted.
    #[must_use]
    pub fn may_touch(&self, ids: &[Uuid]) -> bool {
        match self {
            Self::Agent(agent) => ids.iter().any(|id| agent.grant.allows_resource(*id)),
            Self::Person(_) => true,
        }
    }

    /// The resources to which the token is restricted, as a parameter of a query; none where it is not.
    #[must_use]
    pub fn restriction(&self) -> Option<Vec<Uuid>> {
        match self {
            Self::Agent(agent) => agent.grant.resources.as_ref().map(|ids| ids.iter().copied().collect()),
            Self::Person(_) => None,
        }
    }

    /// Refuses a token that is restricted to certain resources where something new would be made: that is none of them.
    ///
    /// # Errors
    /// A problem `insufficient-scope`.
    pub fn require_unrestricted(&self, scope: &Scope) -> Result<(), Problem> {
        if self.restriction().is_none() {
            return Ok(());
        }
        Err(Problem::new(&codes::INSUFFICIENT_SCOPE)
            .with("scope", scope.to_string())
            .detail("The token is restricted to resources that there are."))
    }

    /// Refuses a resource outside those to which the token is restricted, as if it did not exist.
    ///
    /// # Errors
    /// A problem `not-found`.
    pub fn require_resource(&self, id: Uuid) -> Result<(), Problem> {
        match self {
            Self::Agent(agent) if !agent.grant.allows_resource(id) => Err(Problem::new(&codes::NOT_FOUND)),
            _ => Ok(()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Problem::new(&codes::UNAUTHENTICATED).header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_is_named_and_a_foreign_resource_hidden() {
        let grant = Grant {
            resources: Some([Uuid::from_u128(1)].into()),
            ..Grant::of_scopes(Scopes::from_iter([Scope::read("tasks")]))
        };
        let (id, organization, token_id) = (Uuid::from_u128(5), Uuid::from_u128(6), Uuid::from_u128(7));
        let actor = Actor::Agent(Agent { id, organization, token_id, grant: grant.into() });
        assert!(actor.require(&Scope::read("tasks")).is_ok());
        let problem = actor.require(&Scope::write("tasks")).unwrap_err();
        assert_eq!(problem.code(), &codes::INSUFFICIENT_SCOPE);
        assert_eq!(problem.document()["scope"], "tasks:write");
        assert!(actor.require_resource(Uuid::from_u128(1)).is_ok());
        assert_eq!(actor.require_resource(Uuid::from_u128(2)).unwrap_err().code(), &codes::NOT_FOUND);
        assert_eq!(actor.person_or_refuse().unwrap_err().code(), &codes::PEOPLE_ONLY);
    }
}
