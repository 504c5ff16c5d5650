//! `GET /api/v1/me`

use std::sync::Arc;

use axum::extract::State;
use foundation::auth::actor::Actor;
use foundation::extract::Json;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::write::transaction::Transaction;
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Workplace;
use crate::role::Role;
use crate::state::App;

const PERSON: &str = "SELECT p.name, p.email, o.name AS organization, m.role FROM person_by_id($1) p \
                      LEFT JOIN organizations o ON o.id = $2 \
                      LEFT JOIN memberships m ON m.organization_id = o.id AND m.person_id = p.id";
const AGENT: &str = "SELECT a.name, NULL AS email, o.name AS organization, NULL AS role \
                     FROM agents a JOIN organizations o ON o.id = a.organization_id \
                     WHERE a.id = $1 AND a.organization_id = $2";

/// Whether somebody is a person or a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Somebody who signed in.
    Person,
    /// A program with a token.
    Agent,
}

/// Who asks.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Me {
    /// Whether it is a person or a program.
    pub kind: Kind,
    /// Names the person or agent.
    pub id: Uuid,
    /// What the person or agent is called.
    #[schema(example = "Ada")]
    pub name: String,
    /// The person's address, if the issuer has verified one.
    #[schema(required = true, example = "ada@example.com")]
    pub email: Option<String>,
    /// The organization in which everything happens that is asked for.
    #[schema(required = true)]
    pub organization: Option<Workplace>,
    /// What is allowed there.
    #[schema(example = json!(["projects:read", "tasks:read"]))]
    pub scopes: Vec<String>,
    /// The person's session.
    #[schema(required = true)]
    pub session_id: Option<Uuid>,
    /// The agent's token.
    #[schema(required = true)]
    pub token: Option<TokenInUse>,
}

/// The token by which an agent asks.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TokenInUse {
    /// Names it.
    pub id: Uuid,
    /// Until when it is valid.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub expires_at: Option<OffsetDateTime>,
    /// The resources to which it is restricted; nothing where it is not.
    #[schema(required = true)]
    pub resources: Option<Vec<Uuid>>,
}

/// Says who asks
///
/// And where, and what is allowed: by it a program finds out what its token can do.
#[utoipa::path(
    get, path = "/api/v1/me", tag = "me", operation_id = "showMe",
    responses((status = OK, body = Me)),
    extensions(("x-rules" = json!(Rules::actor())))
)]
pub async fn me(
    State(app): State<Arc<App>>,
    actor: Actor,
    context: RequestContext,
) -> Result<Json<Me>, Problem> {
    find(&app, &actor, &context).await.map(Json)
}

/// Who asks.
///
/// # Errors
/// A problem `unauthenticated` where the person or agent is gone, or one of the database.
pub async fn find(app: &App, actor: &Actor, context: &RequestContext) -> Result<Me, Problem> {
    let (kind, sql) = match actor {
        Actor::Person(_) => (Kind::Person, PERSON),
        Actor::Agent(_) => (Kind::Agent, AGENT),
    };
    let organization = actor.organization();
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&actor.id(), &organization];
    let rows =
        Transaction::read(&app.stores.database, organization, &context.request_id, sql, &values).await?;
    let row = rows.first().ok_or_else(|| Problem::new(&codes::UNAUTHENTICATED))?;
    let (session_id, token) = match actor {
        Actor::Person(person) => (Some(person.session_id), None),
        Actor::Agent(agent) => {
            let (id, expires_at, resources) = (agent.token_id, agent.grant.expires_at, actor.restriction());
            (None, Some(TokenInUse { id, expires_at, resources }))
        }
    };
    Ok(Me {
        kind,
        id: actor.id(),
        name: row.get("name"),
        email: row.get("email"),
        organization: organization.and_then(|id| workplace(id, row)),
        scopes: actor.grant().scopes.iter().map(ToString::to_string).collect(),
        session_id,
        token,
    })
}

fn workplace(id: Uuid, row: &Row) -> Option<Workplace> {
    let name: Option<String> = row.get("organization");
    let role: Option<&str> = row.get("role");
    Some(Workplace { id, name: name?, role: role.map(Role::stored) })
}
