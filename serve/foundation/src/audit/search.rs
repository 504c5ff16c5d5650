//! Searching an organization's log: the newest events first, a page at a time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Outcome;
use super::record::{Record, columns};
use crate::auth::actor::Actor;
use crate::database::{Database, DatabaseError};
use crate::page::cursor::Position;
use crate::problem::Problem;
use crate::request::RequestContext;
use crate::write::transaction::Transaction;

/// Each search is planned for its own filters: a plan for all of them would read the whole log where an index has the
/// few events that are wanted.
const PLANNED: &str = "SELECT set_config('plan_cache_mode', 'force_custom_plan', true)";

macro_rules! statement {
    ($compared:literal, $order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM audit_events WHERE organization_id = $1 \
             AND ($2::text[] IS NULL OR resource_id = ANY ($2)) \
             AND ($3::text IS NULL OR actor_kind = $3) AND ($4::uuid IS NULL OR actor_id = $4) \
             AND ($5::uuid IS NULL OR token_id = $5) AND ($6::text IS NULL OR action = $6) \
             AND ($7::text IS NULL OR resource_kind = $7) AND ($8::text IS NULL OR resource_id = $8) \
             AND ($9::text IS NULL OR result = $9) AND ($10::text IS NULL OR request_id = $10) \
             AND ($11::timestamptz IS NULL OR occurred_at >= $11) \
             AND ($12::timestamptz IS NULL OR occurred_at < $12) \
             AND ($13::timestamptz IS NULL OR (occurred_at, id) ",
            $compared,
            " ($13, $14)) ORDER BY occurred_at ",
            $order,
            ", id ",
            $order,
            " LIMIT $15"
        )
    };
}
const NEWEST_FIRST: &str = statement!("<", "DESC");
const OLDEST_FIRST: &str = statement!(">", "ASC");
const ONE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM audit_events WHERE organization_id = $1 AND ($2::text[] IS NULL OR resource_id = ANY ($2)) AND id = $3"
);

/// Who can do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// Somebody who signed in.
    Person,
    /// A program with a token.
    Agent,
    /// The application itself.
    System,
    /// Nobody who is known.
    Stranger,
}

impl ActorKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Agent => "agent",
            Self::System => "system",
            Self::Stranger => "stranger",
        }
    }
}

/// Which events: those for which everything holds that is said.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only what was done by people, by agents, by the application itself, or by strangers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub actor_kind: Option<ActorKind>,
    /// Only what this person or agent did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<Uuid>,
    /// Only what was done with this token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<Uuid>,
    /// Only this action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "task.create")]
    pub action: Option<String>,
    /// Only what was done to resources of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "task")]
    pub resource_kind: Option<String>,
    /// Only what was done to this resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "01936b2e-7c1a-7d53-9a53-5a6f0c2b9e11")]
    pub resource_id: Option<String>,
    /// Only what ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub result: Option<Outcome>,
    /// Only what was done in this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "01936b2e-7c1a-7d53-9a53-5a6f0c2b9e11")]
    pub request_id: Option<String>,
    /// Only what happened at this moment or later.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub from: Option<OffsetDateTime>,
    /// Only what happened before this moment.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub to: Option<OffsetDateTime>,
}

impl Filter {
    /// What it says, as JSON.
    #[must_use]
    pub fn document(&self) -> Value {
        serde_json::to_value(self).expect("texts, identifiers and times")
    }
}

/// In which order, and after which event of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Newest,
    Oldest,
}

/// What one caller may see of an organization's log.
#[derive(Debug, Clone)]
pub struct View {
    database: Database,
    organization: Uuid,
    /// The resources to which the caller's token is restricted.
    only: Option<Vec<String>>,
    pub(super) request_id: Arc<str>,
}

impl View {
    /// What `actor` may see, asked for in the request of `context`. A token that is restricted to resources sees what was
    /// done to them.
    ///
    /// # Errors
    /// A problem `not-found` for a person who is in no organization.
    pub fn of(database: &Database, actor: &Actor, context: &RequestContext) -> Result<Self, Problem> {
        Ok(Self {
            database: database.clone(),
            organization: actor.organization_or_refuse()?,
            only: actor.restriction().map(|ids| ids.iter().map(Uuid::to_string).collect()),
            request_id: Arc::clone(&context.request_id),
        })
    }

    /// What belongs to no organization, for whoever runs the platform.
    #[must_use]
    pub fn of_platform(database: &Database, request_id: Arc<str>) -> Self {
        Self { database: database.clone(), organization: Uuid::nil(), only: None, request_id }
    }

    /// Names what is listed with this filter: a cursor belongs to it.
    #[must_use]
    pub fn name(&self, filter: &Filter) -> String {
        format!("audit {} {:?} {filter:?}", self.organization, self.only)
    }

    /// The newest events for which the filter holds, or those that are older than the event at `after`.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn newest(
        &self,
        filter: &Filter,
        after: Option<Position>,
        most: i64,
    ) -> Result<Vec<Record>, DatabaseError> {
        self.events(filter, Order::Newest, after, most).await
    }

    /// The event with this identifier.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn find(&self, id: Uuid) -> Result<Option<Record>, DatabaseError> {
        let values: [&(dyn ToSql + Sync); 3] = [&self.organization, &self.only, &id];
        let rows = Transaction::read(&self.database, Some(self.organization), &self.request_id, ONE, &values)
            .await?;
        Ok(rows.first().map(Record::read).transpose()?)
    }

    pub(super) async fn events(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Position>,
        most: i64,
    ) -> Result<Vec<Record>, DatabaseError> {
        let sql = match order {
            Order::Newest => NEWEST_FIRST,
            Order::Oldest => OLDEST_FIRST,
        };
        let (at, id) = after.map(|after| (after.at, after.id)).unzip();
        let rows = self
            .read(
                sql,
                &[
                    &self.organization,
                    &self.only,
                    &filter.actor_kind.map(ActorKind::as_str),
                    &filter.actor_id,
                    &filter.token_id,
                    &filter.action,
                    &filter.resource_kind,
                    &filter.resource_id,
                    &filter.result.map(Outcome::as_str),
                    &filter.request_id,
                    &filter.from,
                    &filter.to,
                    &at,
                    &id,
                    &most,
                ],
            )
            .await?;
        Ok(rows.iter().map(Record::read).collect::<Result<_, _>>()?)
    }

    async fn read(
        &self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        let first: Option<(_, &[&(dyn ToSql + Sync)])> = Some((PLANNED, &[]));
        let (transaction, _) =
            Transaction::begin(&self.database, Some(self.organization), &self.request_id, first).await?;
        let rows = transaction.query(sql, values).await?;
        transaction.commit().await?;
        Ok(rows)
    }
}

impl Record {
    /// Where it stands in the log.
    #[must_use]
    pub fn place(&self) -> Position {
        Position { at: self.occurred_at, id: self.id }
    }
}
