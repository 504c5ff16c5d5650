//! Audit: every mutation and every denial that matters, of people and agents in one format, in the effect's transaction.

pub mod chain;
pub mod export;
pub mod record;
pub mod seal;
pub mod search;
pub mod verify;
pub mod watch;

use std::net::IpAddr;

use deadpool_postgres::GenericClient;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::actor::Actor;
use crate::request::RequestContext;
use crate::write::transaction::{Parameter, Transaction};

/// The table and its grants: append-only for the serving role.
pub const MIGRATION: &str = include_str!("../migrations/audit.sql");

const INSERT: &str = "INSERT INTO audit_events (id, organization_id, occurred_at, actor_kind, actor_id, token_id, address, \
     user_agent, request_id, action, resource_kind, resource_id, result, changes) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

/// Who did it, from where, in which request.
#[derive(Debug, Clone)]
pub struct Origin {
    /// `person`, `agent` or `system`.
    pub actor_kind: &'static str,
    /// Which one; none for the system and for strangers.
    pub actor_id: Option<Uuid>,
    /// With which token.
    pub token_id: Option<Uuid>,
    /// The organization in which it acts.
    pub organization: Option<Uuid>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The request.
    pub request_id: String,
}

impl Origin {
    /// What `actor` does in the request of `context`; nobody's actor is a stranger.
    #[must_use]
    pub fn of(actor: Option<&Actor>, context: &RequestContext) -> Self {
        Self {
            actor_kind: actor.map_or("stranger", Actor::kind),
            actor_id: actor.map(Actor::id),
            token_id: actor.and_then(Actor::token_id),
            organization: actor.and_then(Actor::organization),
            address: Some(context.address),
            user_agent: context.user_agent.as_deref().map(str::to_owned),
            request_id: context.request_id.to_string(),
        }
    }

    /// What nobody does: the platform itself, following from a request.
    #[must_use]
    pub fn of_system(organization: Option<Uuid>, request_id: String) -> Self {
        Self {
            actor_kind: "system",
            actor_id: None,
            token_id: None,
            organization,
            address: None,
            user_agent: None,
            request_id,
        }
    }

    /// Names who acts, the same in every request: what belongs to a caller is kept under it.
    #[must_use]
    pub fn caller(&self) -> String {
        match self.actor_id {
            Some(id) => format!("{}:{id}", self.actor_kind),
            None => self.actor_kind.to_owned(),
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was not allowed.
    Denied,
    /// It was tried and did not work.
    Failed,
}

impl Outcome {
    /// The outcome as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Denied => "denied",
            Outcome::Failed => "failed",
        }
    }
}

/// Something that was done, or that somebody tried.
#[derive(Debug, Clone)]
pub struct Event {
    action: &'static str,
    resource_kind: &'static str,
    resource_id: Option<String>,
    outcome: Outcome,
    changes: Map<String, Value>,
}

impl Event {
    /// `action`, for example `task.create`, done to a resource of a kind.
    #[must_use]
    pub fn new(action: &'static str, resource_kind: &'static str) -> Self {
        Self { action, resource_kind, resource_id: None, outcome: Outcome::Success, changes: Map::new() }
    }

    /// What was done.
    #[must_use]
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// Which resource.
    #[must_use]
    pub fn of(mut self, id: impl ToString) -> Self {
        self.resource_id = Some(id.to_string());
        self
    }

    /// How it ended, if not well.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// A field that changed.
    #[must_use]
    pub fn changed(mut self, field: &str, before: impl Into<Value>, after: impl Into<Value>) -> Self {
        self.changes.insert(field.to_owned(), serde_json::json!([before.into(), after.into()]));
        self
    }

    /// A secret field that changed: the event says so, and holds neither value.
    #[must_use]
    pub fn changed_secret(mut self, field: &str) -> Self {
        self.changes.insert(field.to_owned(), "redacted".into());
        self
    }

    /// Writes the event when the transaction commits.
    pub(crate) fn write_later(
        self,
        transaction: &mut Transaction,
        id: Uuid,
        now: OffsetDateTime,
        origin: &Origin,
    ) {
        transaction.later(INSERT, self.into_parameters(id, now, origin));
    }

    /// Writes the event now, in a transaction that is none of [`Transaction`].
    pub(crate) async fn write(
        self,
        client: &impl GenericClient,
        id: Uuid,
        now: OffsetDateTime,
        origin: &Origin,
    ) -> Result<(), tokio_postgres::Error> {
        let parameters = self.into_parameters(id, now, origin);
        let values: Vec<&(dyn ToSql + Sync)> =
            parameters.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        client.execute(&client.prepare_cached(INSERT).await?, &values).await.map(drop)
    }

    fn into_parameters(self, id: Uuid, now: OffsetDateTime, origin: &Origin) -> Vec<Parameter> {
        vec![
            Box::new(id),
            Box::new(origin.organization.unwrap_or_default()),
            Box::new(now),
            Box::new(origin.actor_kind),
            Box::new(origin.actor_id),
            Box::new(origin.token_id),
            Box::new(origin.address.map(|address| address.to_string())),
            Box::new(origin.user_agent.clone()),
            Box::new(origin.request_id.clone()),
            Box::new(self.action),
            Box::new(self.resource_kind),
            Box::new(self.resource_id),
            Box::new(self.outcome.as_str()),
            Box::new(Value::Object(self.changes)),
        ]
    }
}
