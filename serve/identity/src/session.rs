//! Browsers in which somebody is signed in at the issuer.

pub mod command;
mod end;

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use foundation::audit::{Event, Origin};
use foundation::auth::cookie;
use foundation::auth::session::SessionKey;
use foundation::problem::Problem;
use foundation::request::{self, RequestContext};
use foundation::telemetry::Line;
use foundation::write::Unit;
use foundation::write::idempotency::Answer;
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::secret;
use crate::state::Broker;
use crate::throttle::{self, Pace, Tried};
pub use end::{Ending, end};

/// The prefix makes browsers refuse it from anybody but this host, over TLS.
pub const COOKIE: &str = "__Host-session";
/// A session that is not used for this long ends.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// A session ends this long after the person proved who they are, used or not.
const ABSOLUTE: Duration = Duration::from_secs(7 * 86_400);
/// That a session is used is written once in this long.
const SEEN: Duration = Duration::from_secs(60);

const FIND: &str = "SELECT id, account_id, provider, authenticated_at, last_seen_at, expires_at FROM browser_sessions \
     WHERE secret_hash = $1";
const USE: &str =
    "UPDATE browser_sessions SET last_seen_at = $2, expires_at = $3 WHERE id = $1 AND expires_at > $2";
const RENEW: &str = "UPDATE browser_sessions SET secret_hash = $3, provider = $4, authenticated_at = $5, \
     last_seen_at = $5, expires_at = $6, address = $7, user_agent = $8 WHERE id = $1 AND account_id = $2 RETURNING id";
const INSERT: &str = "INSERT INTO browser_sessions (id, account_id, secret_hash, provider, authenticated_at, \
     last_seen_at, expires_at, address, user_agent) VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8)";

/// A browser in which somebody is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserSession {
    /// What ID tokens call `sid`; it is no secret.
    pub id: Uuid,
    /// Who is signed in.
    pub account: Uuid,
    /// With which login provider.
    pub provider: String,
    /// When the person proved who they are.
    pub authenticated_at: OffsetDateTime,
}

/// The session of the browser that has sent the headers, if it has one that has not ended.
///
/// # Errors
/// The problem of the database, or of too many guesses.
pub async fn current(broker: &Broker, headers: &HeaderMap) -> Result<Option<BrowserSession>, Problem> {
    let Some(value) = value(headers) else { return Ok(None) };
    let (hash, now) = (secret::hash(value), broker.clock.now());
    let row = broker
        .database
        .ask(async |client| client.query_opt(&client.prepare_cached(FIND).await?, &[&&hash[..]]).await)
        .await?;
    let Some(row) = row else { return unknown(broker, now).await };
    if row.get::<_, OffsetDateTime>("expires_at") <= now {
        return Ok(None);
    }
    let session = BrowserSession {
        id: row.get("id"),
        account: row.get("account_id"),
        provider: row.get("provider"),
        authenticated_at: row.get("authenticated_at"),
    };
    Line::say(|line| line.person(session.account, None));
    if now - row.get::<_, OffsetDateTime>("last_seen_at") >= SEEN {
        let ends = ends(session.authenticated_at, now);
        broker
            .database
            .ask(async |client| {
                client.execute(&client.prepare_cached(USE).await?, &[&session.id, &now, &ends]).await
            })
            .await?;
    }
    Ok(Some(session))
}

/// There is none of this secret: nobody is signed in, and whoever guesses waits.
async fn unknown(broker: &Broker, now: OffsetDateTime) -> Result<Option<BrowserSession>, Problem> {
    let Some(context) = request::current() else { return Ok(None) };
    match broker.throttle.wrong(Tried::Session, context.address, now).await {
        Pace::Usual | Pace::Late(_) => Ok(None),
        Pace::Crowded(wait) => Err(throttle::problem(wait)),
    }
}

/// By what forms of the session that the headers name are guarded; none where they name none.
#[must_use]
pub fn key(headers: &HeaderMap) -> Option<SessionKey> {
    value(headers).and_then(SessionKey::of_cookie)
}

/// The cookie's value. Two are not this site's doing.
fn value(headers: &HeaderMap) -> Option<&str> {
    let mut values = cookie::values(headers, COOKIE);
    values.next().filter(|value| values.next().is_none() && secret::is_one(value))
}

/// The header `Set-Cookie` that takes the session's cookie away.
#[must_use]
pub fn clear_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// Begins a session with a secret of its own, with the header `Set-Cookie` that hands the secret out. The `previous` one of
/// this browser ends where it was another account's; where it was this one's, it goes on under the new secret, so that
/// nobody is signed out at clients by proving once more who they are.
///
/// # Errors
/// The problem of the database.
pub async fn begin(
    broker: &Broker,
    context: &RequestContext,
    account: Uuid,
    provider: &str,
    previous: Option<&BrowserSession>,
) -> Result<(BrowserSession, HeaderValue), Problem> {
    let origin = Origin { actor_kind: "person", actor_id: Some(account), ..Origin::of(None, context) };
    Line::say(|line| line.person(account, None));
    let mut unit = broker.writes.begin_without_key(&origin).await?;
    let value = secret::new(unit.randomness());
    let beginning = Beginning { account, hash: secret::hash(&value).to_vec(), provider, context };
    let id = match previous {
        Some(previous) if previous.account == account => renew(&mut unit, previous.id, &beginning).await?,
        Some(previous) => {
            let ending = Ending { one: Some(previous.id), ..Ending::default() };
            end(&mut unit, Some(&broker.settings), previous.account, ending).await?;
            None
        }
        None => None,
    };
    let id = id.unwrap_or_else(|| insert(&mut unit, &beginning));
    unit.audit(Event::new("session.begin", "session").of(id).changed("provider", (), provider));
    let authenticated_at = unit.now();
    unit.end(Ok(Answer::empty(axum::http::StatusCode::NO_CONTENT))).await?;
    let session = BrowserSession { id, account, provider: provider.to_owned(), authenticated_at };
    let seconds = ABSOLUTE.as_secs();
    let cookie = format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    Ok((session, HeaderValue::try_from(cookie).expect("base 64 is allowed in a header")))
}

/// What a session begins with.
struct Beginning<'a> {
    account: Uuid,
    hash: Vec<u8>,
    provider: &'a str,
    context: &'a RequestContext,
}

/// None where it has ended meanwhile.
async fn renew(unit: &mut Unit, id: Uuid, beginning: &Beginning<'_>) -> Result<Option<Uuid>, Problem> {
    let now = unit.now();
    let (address, user_agent) = from(beginning.context);
    let Beginning { account, hash, provider, .. } = beginning;
    let ends = ends(now, now);
    let values: [&(dyn ToSql + Sync); 8] = [&id, account, hash, provider, &now, &ends, &address, &user_agent];
    let rows = unit.transaction.query(RENEW, &values).await?;
    Ok(rows.first().map(|row| row.get("id")))
}

fn insert(unit: &mut Unit, beginning: &Beginning<'_>) -> Uuid {
    let (id, now) = (unit.new_id(), unit.now());
    let (address, user_agent) = from(beginning.context);
    let values = vec![
        Box::new(id) as _,
        Box::new(beginning.account) as _,
        Box::new(beginning.hash.clone()) as _,
        Box::new(beginning.provider.to_owned()) as _,
        Box::new(now) as _,
        Box::new(ends(now, now)) as _,
        Box::new(address) as _,
        Box::new(user_agent) as _,
    ];
    unit.transaction.later(INSERT, values);
    id
}

fn from(context: &RequestContext) -> (String, Option<String>) {
    (context.address.to_string(), context.user_agent.as_deref().map(str::to_owned))
}

/// When a session ends that was used last at `seen`.
fn ends(authenticated_at: OffsetDateTime, seen: OffsetDateTime) -> OffsetDateTime {
    (authenticated_at + ABSOLUTE).min(seen + IDLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header;

    fn sent(cookies: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(cookies))])
    }

    #[test]
    fn a_browser_has_one_session_or_none() {
        const ONE: &str = "__Host-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        const TWO: &str = "__Host-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; \
                           __Host-session=BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA";
        assert!(value(&sent(ONE)).is_some() && key(&sent(ONE)).is_some());
        for none in ["", "__Host-session=", "__Host-session=x", "session=AAAAAAAAAAAAAAAAAAAA", TWO] {
            assert_eq!(value(&sent(none)), None, "{none}");
        }
    }

    #[test]
    fn a_session_ends_unused_and_also_used() {
        let began = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(ends(began, began), began + IDLE);
        assert_eq!(ends(began, began + ABSOLUTE - SEEN), began + ABSOLUTE);
    }
}
