//! From the text of a token to the agent: by the database, or by what it said less than a second ago.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::WWW_AUTHENTICATE;
use ipnet::IpNet;
use time::OffsetDateTime;
use uuid::Uuid;

use super::actor::Agent;
use super::delegation::Grant;
use super::scope::Scopes;
use super::token::{self, Prefix, TokenHash};
use crate::clock::Clock;
use crate::database::{Database, DatabaseError};
use crate::problem::{Problem, codes};

/// A revoked token is refused everywhere after this at the latest.
const REMEMBERED: Duration = Duration::from_secs(1);
/// More tokens are not remembered at once.
const MOST_REMEMBERED: usize = 10_000;
/// A token's last use is written once in this long.
const USE_NOTED: Duration = Duration::from_secs(60);
/// Uses of this long are lost where the process dies.
const USES_WRITTEN: Duration = Duration::from_secs(5);

const FIND: &str = "SELECT id, organization_id, agent_id, scopes, resources, addresses, expires_at, revoked \
                    FROM authenticate_token($1)";
const NOTE_USED: &str = "SELECT note_tokens_used($1, $2)";

/// A token that was found and is not revoked.
#[derive(Debug, Clone)]
struct Known {
    agent: Agent,
    expires_at: OffsetDateTime,
    /// Before the database was asked: what was revoked afterwards is not in its answer.
    asked_at: OffsetDateTime,
}

/// A token that is not accepted, or cannot be asked about.
#[derive(Debug)]
pub struct Refusal {
    /// What its bearer is told.
    pub problem: Problem,
    /// Whose it is, where that is known: it was revoked, has expired, or was used from where it may not be.
    pub agent: Option<Agent>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, agent: None }
    }
}

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        Problem::from(error).into()
    }
}

impl Problem {
    fn about(self, agent: Agent) -> Refusal {
        Refusal { problem: self, agent: Some(agent) }
    }
}

/// Authenticates agents. One a process.
#[derive(Debug)]
pub struct Authenticator {
    database: Database,
    prefix: Prefix,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<TokenHash, Known>>,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    /// When the use of each token was last noted.
    noted: HashMap<Uuid, OffsetDateTime>,
    unwritten: Vec<Uuid>,
}

impl Authenticator {
    /// Knows the tokens in `database` that start with `prefix`.
    #[must_use]
    pub fn new(database: Database, prefix: Prefix, clock: Arc<dyn Clock>) -> Self {
        Self { database, prefix, clock, known: Mutex::default(), used: Mutex::default() }
    }

    /// The agent whose token this is.
    ///
    /// Expiry is compared with this machine's clock, the same by which it was set: machines that are apart by some
    /// seconds disagree for as long about a token that just expires, and about no other. A token is valid from its
    /// first moment also where the clock is behind, and a revocation does not depend on clocks.
    ///
    /// # Errors
    /// A problem `bad-credentials`, `address-not-allowed`, or one of the database, and whose the token is.
    pub async fn authenticate(&self, text: &str, address: IpAddr) -> Result<Agent, Refusal> {
        let hash = token::parse(&self.prefix, text)
            .map_err(|error| refused(&format!("This is no token: {error}.")))?;
        let now = self.clock.now();
        let known = match self.remembered(&hash, now) {
            Some(known) => known,
            None => self.find(hash, now).await?,
        };
        if known.expires_at <= now {
            return Err(refused("The token has expired.").about(known.agent));
        }
        if !known.agent.grant.allows_address(address) {
            tracing::warn!(token_id = %known.agent.token_id, %address, "a token was used from where it may not be");
            return Err(Problem::new(&codes::ADDRESS_NOT_ALLOWED).about(known.agent));
        }
        self.note_use(known.agent.token_id, now);
        Ok(known.agent)
    }

    /// Forgets tokens at once, here: for after a revocation. Other processes forget them within a second.
    pub fn forget(&self, tokens: &[Uuid]) {
        lock(&self.known).retain(|_, known| !tokens.contains(&known.agent.token_id));
    }

    fn remembered(&self, hash: &TokenHash, now: OffsetDateTime) -> Option<Known> {
        lock(&self.known).get(hash).filter(|known| is_fresh(known, now)).cloned()
    }

    async fn find(&self, hash: TokenHash, now: OffsetDateTime) -> Result<Known, Refusal> {
        let row = self
            .database
            .ask(async |client| {
                let statement = client.prepare_cached(FIND).await?;
                client.query_opt(&statement, &[&hash.as_bytes().as_slice()]).await
            })
            .await?
            .ok_or_else(|| refused("The token is not known."))?;
        let addresses: Option<Vec<String>> = row.get("addresses");
        let addresses = addresses.map(|texts| texts.iter().map(|text| text.parse()).collect());
        let (Ok(scopes), Ok(addresses)) = (
            Scopes::try_from(row.get::<_, Vec<String>>("scopes")),
            addresses.transpose() as Result<Option<Vec<IpNet>>, ipnet::AddrParseError>,
        ) else {
            tracing::error!("a stored token has scopes or addresses that cannot be read");
            return Err(Problem::new(&codes::INTERNAL).into());
        };
        let expires_at = row.get("expires_at");
        let resources: Option<Vec<Uuid>> = row.get("resources");
        let resources = resources.map(|ids| ids.into_iter().collect());
        let agent = Agent {
            id: row.get("agent_id"),
            organization: row.get("organization_id"),
            token_id: row.get("id"),
            grant: Arc::new(Grant { scopes, resources, addresses, expires_at: Some(expires_at) }),
        };
        if row.get("revoked") {
            return Err(refused("The token was revoked.").about(agent));
        }
        let found = Known { agent, expires_at, asked_at: now };
        let mut known = lock(&self.known);
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, known| is_fresh(known, now));
        }
        if known.len() < MOST_REMEMBERED {
            known.insert(hash, found.clone());
        }
        Ok(found)
    }

    fn note_use(&self, token_id: Uuid, now: OffsetDateTime) {
        let mut used = lock(&self.used);
        if used.noted.get(&token_id).is_some_and(|noted| now - *noted < USE_NOTED) {
            return;
        }
        if used.noted.len() >= MOST_REMEMBERED {
            used.noted.retain(|_, noted| now - *noted < USE_NOTED);
        }
        used.noted.insert(token_id, now);
        if used.unwritten.len() < MOST_REMEMBERED {
            used.unwritten.push(token_id);
        }
    }

    /// Writes uses every few seconds, until dropped. At the end of the process [`Self::write_last_used`] writes the rest.
    pub async fn keep_last_used(&self) {
        loop {
            tokio::time::sleep(USES_WRITTEN).await;
            if let Err(error) = self.write_last_used().await {
                tracing::warn!(%error, "uses of tokens could not be written; trying again");
            }
        }
    }

    /// Writes which tokens were used since it was last called.
    ///
    /// # Errors
    /// [`DatabaseError`]; the uses are then noted again with the next.
    pub async fn write_last_used(&self) -> Result<(), DatabaseError> {
        let ids = std::mem::take(&mut lock(&self.used).unwritten);
        if ids.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let outcome = self
            .database
            .ask(async |client| {
                let statement = client.prepare_cached(NOTE_USED).await?;
                client.execute(&statement, &[&ids, &now]).await
            })
            .await;
        if outcome.is_err() {
            lock(&self.used).unwritten.extend(ids);
        }
        outcome.map(|_| ())
    }
}

/// A clock that was set back must not make an answer last longer.
fn is_fresh(known: &Known, now: OffsetDateTime) -> bool {
    now >= known.asked_at && now - known.asked_at < REMEMBERED
}

fn refused(detail: &str) -> Problem {
    let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
    Problem::new(&codes::BAD_CREDENTIALS).detail(detail).header(WWW_AUTHENTICATE, challenge)
}

/// What the locks guard is whole also after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
