//! Tokens of agents: shown once, narrow, and never wider than who made them. One file an operation.

pub mod list;
pub mod mint;
pub mod network;
pub mod revoke;
pub mod rotate;
pub mod show;

use std::sync::Arc;

use axum::http::StatusCode;
use foundation::auth::token_store::Minted;
use foundation::page::cursor::Position;
use foundation::problem::{Problem, codes};
use foundation::write::Unit;
use foundation::write::idempotency::Answer;
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::role::KnownScope;
use crate::state::App;

pub use foundation::auth::token_store::{READ, WRITE};

const FIND: &str = concat!("SELECT ", columns!(), " FROM tokens WHERE organization_id = $1 AND id = $2");

/// What an agent shows who it is with, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Token {
    /// Names it.
    pub id: Uuid,
    /// Whose it is.
    pub agent_id: Uuid,
    /// By what people recognize it.
    #[schema(min_length = 1, max_length = 100, example = "Nightly build")]
    pub name: String,
    /// The last characters of the secret.
    #[schema(example = "x8Qd")]
    pub hint: String,
    /// What it allows.
    #[schema(value_type = Vec<KnownScope>)]
    pub scopes: Vec<String>,
    /// The resources to which it is restricted; nothing means all of the organization.
    #[schema(required = true)]
    pub resources: Option<Vec<Uuid>>,
    /// The networks from which it may be used; nothing means from everywhere.
    #[schema(required = true, example = json!(["192.0.2.0/24"]))]
    pub addresses: Option<Vec<String>>,
    /// When it was minted.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Who minted it: a person or an agent.
    pub created_by: Uuid,
    /// The token by which it was minted: it is revoked with that.
    #[schema(required = true)]
    pub parent_id: Option<Uuid>,
    /// The token that took its place.
    #[schema(required = true)]
    pub successor_id: Option<Uuid>,
    /// Until when it is good.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// When it was last used, to the minute.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub last_used_at: Option<OffsetDateTime>,
    /// When it was revoked.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub revoked_at: Option<OffsetDateTime>,
}

/// A new token. The secret is shown in this answer, and never again.
#[derive(Debug, Serialize, ToSchema)]
pub struct MintedToken {
    /// What is known of it afterwards.
    #[serde(flatten)]
    pub token: Token,
    /// What the agent sends as `Authorization: Bearer …`.
    #[schema(example = "bst_shown-once")]
    pub secret: String,
}

/// Columns of a token, as [`Token::read`] wants them.
macro_rules! columns {
    () => {
        "id, agent_id, name, hint, scopes, resources, addresses, created_at, created_by, parent_id, successor_id, \
         expires_at, last_used_at, revoked_at"
    };
}
pub(crate) use columns;

impl Token {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            agent_id: row.get("agent_id"),
            name: row.get("name"),
            hint: row.get("hint"),
            scopes: row.get("scopes"),
            resources: row.get("resources"),
            addresses: row.get("addresses"),
            created_at: row.get("created_at"),
            created_by: row.get("created_by"),
            parent_id: row.get("parent_id"),
            successor_id: row.get("successor_id"),
            expires_at: row.get("expires_at"),
            last_used_at: row.get("last_used_at"),
            revoked_at: row.get("revoked_at"),
        }
    }

    fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id }
    }
}

impl MintedToken {
    /// What was minted, as the database has it.
    async fn of(unit: &Unit, organization: Uuid, minted: &Minted) -> Result<Self, Problem> {
        let rows = unit.transaction.query(FIND, &[&organization, &minted.id]).await?;
        let token = rows.first().map(Token::read).ok_or_else(|| Problem::new(&codes::INTERNAL))?;
        Ok(Self { token, secret: minted.token.reveal().to_owned() })
    }

    /// The one answer that shows the secret.
    fn answer(&self) -> Result<Answer, Problem> {
        let path = format!("/api/v1/tokens/{}", self.token.id);
        Ok(Answer::json(StatusCode::CREATED, self)?.located(&path).secret())
    }
}

/// Once the write is committed, these tokens are good for nothing here; elsewhere within a second.
pub fn forget_when_committed(app: &App, unit: &mut Unit, ended: Vec<Uuid>) {
    let authentication = Arc::clone(&app.authentication);
    unit.when_committed(move || authentication.tokens.forget(&ended));
}
