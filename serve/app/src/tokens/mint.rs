//! `POST /api/v1/agents/{id}/tokens`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::Actor;
use foundation::auth::delegation::Grant;
use foundation::auth::token_store::{self, MintRequest};
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::{Unit, WriteRequest};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::network::Network;
use super::{MintedToken, WRITE};
use crate::agents;
use crate::codes::QUOTA_REACHED;
use crate::quota::Quota;
use crate::role::KnownScope;
use crate::state::App;
use foundation::text::Line;

const QUOTA: Quota = Quota {
    what: "tokens that are good for something",
    most: 1_000,
    count: "SELECT count(*) FROM tokens WHERE organization_id = $1 AND revoked_at IS NULL AND expires_at > now()",
};

/// A token to be minted. It can allow nothing that its maker may not do.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewToken {
    /// By what people recognize it.
    #[schema(value_type = String, min_length = 1, max_length = 100, example = "Nightly build")]
    pub name: Line<100>,
    /// What it allows. Writing does not include reading.
    #[schema(min_items = 1, example = json!(["tasks:read", "tasks:write"]))]
    pub scopes: Vec<KnownScope>,
    /// The resources to which it is restricted, such as a project with its tasks, an agent with its tokens, or a webhook;
    /// all of the organization unless some are named.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 100)]
    pub resources: Option<Vec<Uuid>>,
    /// The networks from which it may be used; from everywhere unless some are named.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 100)]
    pub addresses: Option<Vec<Network>>,
    /// Until when it is good: 366 days at most, and 90 unless it is said.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[schema(example = "2027-06-30T00:00:00Z")]
    pub expires_at: Option<OffsetDateTime>,
}

/// Mints a token for an agent
///
/// The secret is in the answer, and is never shown again. A token can mint others that are nowhere wider than itself;
/// they are revoked with it.
#[utoipa::path(
    post, path = "/api/v1/agents/{id}/tokens", tag = "tokens", operation_id = "mintToken", request_body = NewToken,
    params(("id" = Uuid, Path, description = "The agent's id.")),
    responses((status = CREATED, body = MintedToken)),
    extensions(("x-rules" = json!(Rules::scope(&WRITE)
        .problem(&codes::INVALID_TOKEN_REQUEST).problem(&codes::TOKEN_TOO_WIDE).problem(&QUOTA_REACHED))))
)]
pub async fn mint(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    Path(agent_id): Path<Uuid>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    let new: NewToken = request.json()?;
    app.writes
        .perform(&actor, &request, async |unit| insert(&app, unit, &actor, agent_id, new).await?.answer())
        .await
}

/// Mints the token within a write.
///
/// # Errors
/// A problem `not-found` where there is no such agent, `token-too-wide`, `invalid-token-request`, `quota-reached`, or one
/// of the database.
pub async fn insert(
    app: &App,
    unit: &mut Unit,
    actor: &Actor,
    agent_id: Uuid,
    new: NewToken,
) -> Result<MintedToken, Problem> {
    let organization = actor.organization_or_refuse()?;
    agents::update::lock(unit, actor, agent_id).await?;
    QUOTA.require_room(unit, organization).await?;
    let grant = Grant {
        scopes: new.scopes.into_iter().map(KnownScope::into_scope).collect(),
        resources: new.resources.map(|ids| ids.into_iter().collect()),
        addresses: new.addresses.map(|networks| networks.into_iter().map(|network| network.0).collect()),
        expires_at: new.expires_at,
    };
    let request = MintRequest { agent_id, name: new.name.into_string(), grant };
    let minted = token_store::mint(unit, &app.prefix, actor, request).await?;
    let secret = MintedToken::of(unit, organization, &minted).await?;
    let token = &secret.token;
    unit.audit(
        Event::new("token.mint", "token")
            .of(token.id)
            .changed("agent_id", (), agent_id.to_string())
            .changed("name", (), token.name.as_str())
            .changed("scopes", (), token.scopes.as_slice())
            .changed("resources", (), token.resources.as_ref().map(|ids| texts(ids)))
            .changed("addresses", (), token.addresses.clone())
            .changed("expires_at", (), token.expires_at.to_string())
            .changed_secret("secret"),
    );
    Ok(secret)
}

fn texts(ids: &[Uuid]) -> Vec<String> {
    ids.iter().map(Uuid::to_string).collect()
}
