//! Tokens in the database: minting, rotating, revoking, listing, in the caller's transaction, whose tenant is set.

use std::time::Duration;

use deadpool_postgres::GenericClient;
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::actor::Actor;
use super::delegation::Grant;
use super::scope::Scope;
use super::token::{Prefix, Token};
use crate::clock::{Clock, Randomness, new_id};
use crate::database::DatabaseError;
use crate::page::PageRequest;
use crate::page::cursor::Position;
use crate::problem::{Problem, codes};

/// The table of tokens.
pub const MIGRATION: &str = include_str!("../../migrations/tokens.sql");
/// What minting, rotating and revoking need.
pub const WRITE: Scope = Scope::write("tokens");
/// What listing needs.
pub const READ: Scope = Scope::read("tokens");
/// How long a token lives unless its maker says otherwise.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(90 * 86_400);
/// No token lives longer.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(366 * 86_400);
/// A rotated token stays valid for at most this long.
pub const LONGEST_OVERLAP: Duration = Duration::from_secs(7 * 86_400);

const COLUMNS: &str = "id, agent_id, name, hint, scopes, resources, addresses, created_at, created_by, successor_id, \
                       expires_at, last_used_at, revoked_at";
const INSERT: &str = "INSERT INTO tokens (id, organization_id, agent_id, name, hash, hint, scopes, resources, \
                      addresses, created_at, created_by, parent_id, expires_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const FIND_LIVE: &str = "SELECT id, agent_id, name, scopes, resources, addresses, created_at, expires_at, parent_id \
                         FROM tokens WHERE id = $1 AND organization_id = $2 AND revoked_at IS NULL \
                         AND successor_id IS NULL AND expires_at > $3 FOR UPDATE";
const SUPERSEDE: &str = "UPDATE tokens SET successor_id = $3, expires_at = least(expires_at, $4) \
                         WHERE id = $1 AND organization_id = $2";
// What a token minted goes with it: whoever stole it may have made others by it.
const REVOKE: &str = "WITH RECURSIVE family AS ( \
                          SELECT id FROM tokens WHERE id = $1 AND organization_id = $2 \
                          UNION SELECT child.id FROM tokens child JOIN family ON child.parent_id = family.id \
                          WHERE child.organization_id = $2) \
                      UPDATE tokens SET revoked_at = coalesce(revoked_at, $3) \
                      WHERE id IN (SELECT id FROM family) AND organization_id = $2 RETURNING id";

/// What somebody wants of a new token.
#[derive(Debug, Clone)]
pub struct MintRequest {
    /// Whose token it will be; the caller knows that this agent is one of the organization.
    pub agent_id: Uuid,
    /// By what people recognize it, 1 to 100 characters.
    pub name: String,
    /// What it allows; without `expires_at` it lives for [`DEFAULT_LIFETIME`], or as long as the minting token.
    pub grant: Grant,
}

/// A new token. This is the only moment at which the secret is known.
#[derive(Debug)]
pub struct Minted {
    /// Its identifier.
    pub id: Uuid,
    /// The secret.
    pub token: Token,
    /// Until when it is valid.
    pub expires_at: OffsetDateTime,
}

/// A token in a list.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "the columns of the table say it")]
pub struct TokenRecord {
    pub id: Uuid,
    pub agent_id: Uuid,
    pub name: String,
    pub hint: String,
    pub scopes: Vec<String>,
    pub resources: Option<Vec<Uuid>>,
    pub addresses: Option<Vec<String>>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    pub created_by: Uuid,
    pub successor_id: Option<Uuid>,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub revoked_at: Option<OffsetDateTime>,
}

impl TokenRecord {
    /// Where it stands in the list.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id }
    }
}

/// Makes tokens.
#[derive(Debug)]
pub struct TokenStore<'a> {
    /// What they start with.
    pub prefix: &'a Prefix,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Makes secrets and identifiers.
    pub randomness: &'a dyn Randomness,
}

impl TokenStore<'_> {
    /// Mints a token that allows nothing its maker may not do.
    ///
    /// # Errors
    /// A problem `insufficient-scope`, `token-too-wide`, `invalid-token-request`, or one of the database.
    pub async fn mint<C: GenericClient + Sync>(
        &self,
        client: &C,
        actor: &Actor,
        request: MintRequest,
    ) -> Result<Minted, Problem> {
        let now = self.clock.now();
        actor.require(&WRITE)?;
        let own = actor.grant();
        let mut grant = request.grant;
        let expires_at = match (grant.expires_at, own.expires_at) {
            (Some(wanted), _) => wanted,
            (None, Some(own)) => own.min(now + DEFAULT_LIFETIME),
            (None, None) => now + DEFAULT_LIFETIME,
        };
        grant.expires_at = Some(expires_at);
        check_request(&request.name, &grant, expires_at, now)?;
        own.check_handing_on(&grant)?;
        self.insert(client, actor, request.agent_id, &request.name, &grant, expires_at, actor.token_id())
            .await
    }

    /// Puts a new token in the place of an old one, which stays valid for `overlap`. An agent cannot thereby get a
    /// wider or longer-lived token than its own; for a person the lifetime starts anew.
    ///
    /// # Errors
    /// A problem `insufficient-scope`, `token-too-wide`, `not-found` (also where it was revoked, has expired, or was
    /// rotated before), or one of the database.
    pub async fn rotate<C: GenericClient + Sync>(
        &self,
        client: &C,
        actor: &Actor,
        id: Uuid,
        overlap: Duration,
    ) -> Result<Minted, Problem> {
        let now = self.clock.now();
        actor.require(&WRITE)?;
        let organization = organization(actor)?;
        let statement = client.prepare_cached(FIND_LIVE).await.map_err(DatabaseError::from)?;
        let row =
            client.query_opt(&statement, &[&id, &organization, &now]).await.map_err(DatabaseError::from)?;
        let row = row.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
        let (created_at, old_expiry): (OffsetDateTime, OffsetDateTime) =
            (row.get("created_at"), row.get("expires_at"));
        let mut expires_at = now + (old_expiry - created_at).unsigned_abs().min(LONGEST_LIFETIME);
        let own = actor.grant();
        if let Some(own) = own.expires_at {
            expires_at = expires_at.min(own);
        }
        let grant = stored_grant(&row, expires_at)?;
        own.check_handing_on(&grant)?;
        let parent = actor.token_id().or_else(|| row.get("parent_id"));
        let (agent, name): (Uuid, String) = (row.get("agent_id"), row.get("name"));
        let minted = self.insert(client, actor, agent, &name, &grant, expires_at, parent).await?;
        let until = now + overlap.min(LONGEST_OVERLAP);
        let statement = client.prepare_cached(SUPERSEDE).await.map_err(DatabaseError::from)?;
        client
            .execute(&statement, &[&id, &organization, &minted.id, &until])
            .await
            .map_err(DatabaseError::from)?;
        Ok(minted)
    }

    /// Revokes a token and all that were minted by it, and says which. Revoking again changes nothing.
    ///
    /// # Errors
    /// A problem `insufficient-scope`, `not-found`, or one of the database.
    pub async fn revoke<C: GenericClient + Sync>(
        &self,
        client: &C,
        actor: &Actor,
        id: Uuid,
    ) -> Result<Vec<Uuid>, Problem> {
        actor.require(&WRITE)?;
        let statement = client.prepare_cached(REVOKE).await.map_err(DatabaseError::from)?;
        let rows = client
            .query(&statement, &[&id, &organization(actor)?, &self.clock.now()])
            .await
            .map_err(DatabaseError::from)?;
        if rows.is_empty() {
            Err(Problem::new(&codes::NOT_FOUND))
        } else {
            Ok(rows.iter().map(|row| row.get(0)).collect())
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a row has as many columns")]
    async fn insert<C: GenericClient + Sync>(
        &self,
        client: &C,
        actor: &Actor,
        agent_id: Uuid,
        name: &str,
        grant: &Grant,
        expires_at: OffsetDateTime,
        parent: Option<Uuid>,
    ) -> Result<Minted, Problem> {
        let id = new_id(self.clock, self.randomness);
        let token = Token::new(self.prefix, self.randomness);
        let resources: Option<Vec<Uuid>> = grant.resources.as_ref().map(|ids| ids.iter().copied().collect());
        let addresses: Option<Vec<String>> =
            grant.addresses.as_ref().map(|networks| networks.iter().map(ToString::to_string).collect());
        let statement = client.prepare_cached(INSERT).await.map_err(DatabaseError::from)?;
        client
            .execute(
                &statement,
                &[
                    &id,
                    &organization(actor)?,
                    &agent_id,
                    &name,
                    &token.hash().as_bytes().as_slice(),
                    &token.hint(),
                    &grant.scopes.to_texts(),
                    &resources,
                    &addresses,
                    &self.clock.now(),
                    &actor.id(),
                    &parent,
                    &expires_at,
                ],
            )
            .await
            .map_err(DatabaseError::from)?;
        Ok(Minted { id, token, expires_at })
    }
}

/// One page of the organization's tokens, and one row more.
///
/// # Errors
/// A problem `insufficient-scope`, or one of the database.
pub async fn list<C: GenericClient + Sync>(
    client: &C,
    actor: &Actor,
    page: &PageRequest,
) -> Result<Vec<TokenRecord>, Problem> {
    actor.require(&READ)?;
    let query = format!(
        "SELECT {COLUMNS} FROM tokens WHERE organization_id = $1 \
         AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3::uuid)) ORDER BY created_at, id LIMIT $4"
    );
    let (at, id) = page.after().map(|after| (after.at, after.id)).unzip();
    let statement = client.prepare_cached(&query).await.map_err(DatabaseError::from)?;
    let rows = client
        .query(&statement, &[&organization(actor)?, &at, &id, &page.rows_to_fetch()])
        .await
        .map_err(DatabaseError::from)?;
    Ok(rows.iter().map(record).collect())
}

fn organization(actor: &Actor) -> Result<Uuid, Problem> {
    actor.organization().ok_or_else(|| Problem::new(&codes::NOT_FOUND))
}

fn check_request(
    name: &str,
    grant: &Grant,
    expires_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), Problem> {
    let invalid = |pointer: &str, code, detail: String| {
        Err(Problem::new(&codes::INVALID_TOKEN_REQUEST).error(pointer, code, detail))
    };
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return invalid(
            "/name",
            "name",
            "A name has 1 to 100 characters and no control characters.".to_owned(),
        );
    }
    if grant.scopes.is_empty() {
        return invalid("/scopes", "empty", "Name at least one scope.".to_owned());
    }
    let listed = |length: Option<usize>| length.is_none_or(|length| (1..=100).contains(&length));
    if !listed(grant.resources.as_ref().map(|ids| ids.len())) {
        return invalid(
            "/resources",
            "length",
            "Name 1 to 100 resources, or leave the member out.".to_owned(),
        );
    }
    if !listed(grant.addresses.as_ref().map(Vec::len)) {
        return invalid(
            "/addresses",
            "length",
            "Name 1 to 100 networks, or leave the member out.".to_owned(),
        );
    }
    if expires_at <= now || expires_at > now + LONGEST_LIFETIME {
        let days = LONGEST_LIFETIME.as_secs() / 86_400;
        return invalid(
            "/expires_at",
            "range",
            format!("A token expires in the future, within {days} days."),
        );
    }
    Ok(())
}

fn stored_grant(row: &Row, expires_at: OffsetDateTime) -> Result<Grant, Problem> {
    let unreadable = || {
        tracing::error!("a stored token has scopes or addresses that cannot be read");
        Problem::new(&codes::INTERNAL)
    };
    let addresses: Option<Vec<String>> = row.get("addresses");
    let addresses = addresses.map(|texts| texts.iter().map(|text| text.parse()).collect()).transpose();
    let resources: Option<Vec<Uuid>> = row.get("resources");
    Ok(Grant {
        scopes: row.get::<_, Vec<String>>("scopes").try_into().map_err(|_| unreadable())?,
        resources: resources.map(|ids| ids.into_iter().collect()),
        addresses: addresses.map_err(|_: ipnet::AddrParseError| unreadable())?,
        expires_at: Some(expires_at),
    })
}

fn record(row: &Row) -> TokenRecord {
    TokenRecord {
        id: row.get("id"),
        agent_id: row.get("agent_id"),
        name: row.get("name"),
        hint: row.get("hint"),
        scopes: row.get("scopes"),
        resources: row.get("resources"),
        addresses: row.get("addresses"),
        created_at: row.get("created_at"),
        created_by: row.get("created_by"),
        successor_id: row.get("successor_id"),
        expires_at: row.get("expires_at"),
        last_used_at: row.get("last_used_at"),
        revoked_at: row.get("revoked_at"),
    }
}
