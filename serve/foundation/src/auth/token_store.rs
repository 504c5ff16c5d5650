//! Tokens in the database: minted, rotated and revoked within a write, whose tenant is set.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::actor::Actor;
use super::delegation::Grant;
use super::scope::Scope;
use super::token::{Prefix, Token};
use crate::problem::{Problem, codes};
use crate::write::Unit;

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
/// Resources or networks to which one token is restricted.
const MOST_LISTED: usize = 100;

const INSERT: &str = "INSERT INTO tokens (id, organization_id, agent_id, name, hash, hint, scopes, resources, \
                      addresses, created_at, created_by, parent_id, expires_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const LOCK: &str = "SELECT agent_id, name, scopes, resources, addresses, created_at, expires_at, parent_id, \
                    successor_id, revoked_at FROM tokens WHERE id = $1 AND organization_id = $2 FOR UPDATE";
const SUPERSEDE: &str = "UPDATE tokens SET successor_id = $3, expires_at = least(expires_at, $4) \
                         WHERE id = $1 AND organization_id = $2";
/// Whether a token is good, for whoever keeps others from changing it.
const IS_GOOD: &str =
    "SELECT FROM tokens WHERE id = $1 AND organization_id = $2 AND revoked_at IS NULL AND expires_at > $3";
/// What a token minted goes with it: whoever stole it may have made others by it.
macro_rules! revoke_family {
    ($of:literal) => {
        concat!(
            "WITH RECURSIVE family AS (SELECT id FROM tokens WHERE ",
            $of,
            " = $1 AND organization_id = $2 \
             UNION SELECT child.id FROM tokens child JOIN family ON child.parent_id = family.id \
             WHERE child.organization_id = $2) \
             UPDATE tokens SET revoked_at = coalesce(revoked_at, $3) \
             WHERE id IN (SELECT id FROM family) AND organization_id = $2 RETURNING id"
        )
    };
}
const REVOKE: &str = revoke_family!("id");
const REVOKE_OF_AGENT: &str = revoke_family!("agent_id");

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
}

/// A row to be written.
struct NewRow<'a> {
    agent_id: Uuid,
    name: &'a str,
    grant: &'a Grant,
    expires_at: OffsetDateTime,
    parent: Option<Uuid>,
}

/// Mints a token that allows nothing its maker may not do.
///
/// # Errors
/// A problem `insufficient-scope`, `token-too-wide`, `invalid-token-request`, or one of the database.
pub async fn mint(
    unit: &mut Unit,
    prefix: &Prefix,
    actor: &Actor,
    request: MintRequest,
) -> Result<Minted, Problem> {
    actor.require(&WRITE)?;
    let (now, own, mut grant) = (unit.now(), actor.grant(), request.grant);
    let expires_at = match (grant.expires_at, own.expires_at) {
        (Some(wanted), _) => wanted,
        (None, Some(own)) => own.min(now + DEFAULT_LIFETIME),
        (None, None) => now + DEFAULT_LIFETIME,
    };
    grant.expires_at = Some(expires_at);
    check_request(&request.name, &grant, expires_at, now)?;
    own.check_handing_on(&grant)?;
    alone_and_good(unit, actor, actor.organization_or_refuse()?).await?;
    let (agent_id, name) = (request.agent_id, request.name.as_str());
    let row = NewRow { agent_id, name, grant: &grant, expires_at, parent: actor.token_id() };
    insert(unit, prefix, actor, row).await
}

/// Puts a new token in the place of an old one, which stays valid for `overlap`. An agent cannot thereby get a
/// wider or longer-lived token than its own; for a person the lifetime starts anew.
///
/// # Errors
/// A problem `insufficient-scope`, `token-too-wide`, `not-found`, `token-ended`, or one of the database.
pub async fn rotate(
    unit: &mut Unit,
    prefix: &Prefix,
    actor: &Actor,
    id: Uuid,
    overlap: Duration,
) -> Result<Minted, Problem> {
    actor.require(&WRITE)?;
    let (now, organization) = (unit.now(), actor.organization_or_refuse()?);
    alone_and_good(unit, actor, organization).await?;
    let rows = unit.transaction.query(LOCK, &[&id, &organization]).await?;
    let row = rows.first().filter(|row| actor.may_touch(&[id, row.get("agent_id")]));
    let row = row.ok_or_else(no_such_token)?;
    let (created_at, old_expiry): (OffsetDateTime, OffsetDateTime) =
        (row.get("created_at"), row.get("expires_at"));
    refuse_ended(row, old_expiry <= now)?;
    let mut expires_at = now + (old_expiry - created_at).unsigned_abs().min(LONGEST_LIFETIME);
    let own = actor.grant();
    if let Some(own) = own.expires_at {
        expires_at = expires_at.min(own);
    }
    let grant = stored_grant(row, expires_at)?;
    own.check_handing_on(&grant)?;
    let parent = actor.token_id().or_else(|| row.get("parent_id"));
    let new =
        NewRow { agent_id: row.get("agent_id"), name: row.get("name"), grant: &grant, expires_at, parent };
    let minted = insert(unit, prefix, actor, new).await?;
    let until = now + overlap.min(LONGEST_OVERLAP);
    unit.transaction
        .later(SUPERSEDE, vec![Box::new(id), Box::new(organization), Box::new(minted.id), Box::new(until)]);
    Ok(minted)
}

/// Revokes a token and all that were minted by it, and says which. Revoking again changes nothing.
///
/// # Errors
/// A problem `insufficient-scope`, `not-found`, or one of the database.
pub async fn revoke(unit: &mut Unit, actor: &Actor, id: Uuid) -> Result<Vec<Uuid>, Problem> {
    actor.require(&WRITE)?;
    let (organization, now) = (actor.organization_or_refuse()?, unit.now());
    alone(unit, organization).await?;
    let rows = unit.transaction.query(LOCK, &[&id, &organization]).await?;
    let found = rows.first().filter(|row| actor.may_touch(&[id, row.get("agent_id")]));
    found.ok_or_else(no_such_token)?;
    Ok(ids(&unit.transaction.query(REVOKE, &[&id, &organization, &now]).await?))
}

/// Revokes all tokens of an agent and all that were minted by them, and says which: for whoever ends the agent, and has
/// asked whether the actor may.
///
/// # Errors
/// A problem of the database.
pub async fn revoke_of_agent(
    unit: &mut Unit,
    organization: Uuid,
    agent_id: Uuid,
) -> Result<Vec<Uuid>, Problem> {
    let now = unit.now();
    alone(unit, organization).await?;
    Ok(ids(&unit.transaction.query(REVOKE_OF_AGENT, &[&agent_id, &organization, &now]).await?))
}

/// Waits for whoever changes tokens of the organization, until that write ends: what is minted at the moment of a revocation
/// is either found by it or not made any more.
async fn alone(unit: &Unit, organization: Uuid) -> Result<(), Problem> {
    Ok(unit.transaction.alone("tokens", organization).await?)
}

/// The same for an actor whose token must be good still: only here is it certain.
async fn alone_and_good(unit: &Unit, actor: &Actor, organization: Uuid) -> Result<(), Problem> {
    alone(unit, organization).await?;
    let Some(token) = actor.token_id() else { return Ok(()) };
    let found = unit.transaction.query(IS_GOOD, &[&token, &organization, &unit.now()]).await?;
    let refused = || Problem::new(&codes::BAD_CREDENTIALS).detail("The token was revoked.");
    found.first().map(drop).ok_or_else(refused)
}

fn ids(rows: &[Row]) -> Vec<Uuid> {
    rows.iter().map(|row| row.get(0)).collect()
}

async fn insert(unit: &mut Unit, prefix: &Prefix, actor: &Actor, new: NewRow<'_>) -> Result<Minted, Problem> {
    let id = unit.new_id();
    let token = Token::new(prefix, unit.randomness());
    let resources: Option<Vec<Uuid>> = new.grant.resources.as_ref().map(|ids| ids.iter().copied().collect());
    let addresses: Option<Vec<String>> =
        new.grant.addresses.as_ref().map(|networks| networks.iter().map(ToString::to_string).collect());
    unit.transaction
        .query(
            INSERT,
            &[
                &id,
                &actor.organization_or_refuse()?,
                &new.agent_id,
                &new.name,
                &token.hash().as_bytes().as_slice(),
                &token.hint(),
                &new.grant.scopes.to_texts(),
                &resources,
                &addresses,
                &unit.now(),
                &actor.id(),
                &new.parent,
                &new.expires_at,
            ],
        )
        .await?;
    Ok(Minted { id, token })
}

fn no_such_token() -> Problem {
    Problem::new(&codes::NOT_FOUND).detail("There is no such token.")
}

/// What has ended gets no successor: whoever holds it may be the one from whom it was taken.
fn refuse_ended(row: &Row, expired: bool) -> Result<(), Problem> {
    let why = if row.get::<_, Option<OffsetDateTime>>("revoked_at").is_some() {
        "The token was revoked."
    } else if expired {
        "The token has expired."
    } else if row.get::<_, Option<Uuid>>("successor_id").is_some() {
        "The token was rotated before; rotate its successor."
    } else {
        return Ok(());
    };
    Err(Problem::new(&codes::TOKEN_ENDED).detail(why))
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
    let lists = [
        ("/resources", grant.resources.as_ref().map(|ids| ids.len())),
        ("/addresses", grant.addresses.as_ref().map(Vec::len)),
    ];
    for (pointer, length) in lists {
        if length.is_some_and(|length| !(1..=MOST_LISTED).contains(&length)) {
            let detail = format!("Name 1 to {MOST_LISTED}, or leave the member out.");
            return invalid(pointer, "length", detail);
        }
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
