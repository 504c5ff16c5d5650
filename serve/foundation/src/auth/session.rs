//! Sessions of people in the durable Valkey: a cookie of 256 random bits, of which the server keeps the SHA-256.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::cmd;
use ring::digest;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::clock::{Clock, Randomness, new_id};
use crate::valkey::{Valkey, ValkeyError};

/// The cookie's name. The prefix makes browsers refuse it from anybody but this host, over TLS.
pub const COOKIE: &str = "__Host-session";
/// A session that is not used for this long ends.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// A session ends after this, used or not.
const ABSOLUTE: Duration = Duration::from_secs(7 * 86_400);
/// That a session is used is written once in this long.
const SEEN: Duration = Duration::from_secs(60);
/// Sessions of one person; with the next one, the oldest ends.
const MOST: usize = 100;

// Keeps the session and lists it in each index; what has ended leaves the indexes. The first two are the
// person's, by either name.
const CREATE: &str = "\
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) \
    for i = 2, #KEYS do \
      redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', ARGV[4]) \
      redis.call('ZADD', KEYS[i], ARGV[5], ARGV[6]) \
      redis.call('PEXPIRE', KEYS[i], ARGV[3]) \
    end \
    for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -ARGV[8] - 1)) do \
      redis.call('DEL', ARGV[7] .. member) \
      redis.call('ZREM', KEYS[2], member) \
      redis.call('ZREM', KEYS[3], member) \
    end return 1";
// Ends all sessions that an index lists.
const REVOKE_ALL: &str = "\
    local ended = 0 \
    for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do \
      ended = ended + redis.call('DEL', ARGV[1] .. member) \
    end redis.call('DEL', KEYS[1]) return ended";
const SESSION: &str = "app:session:";

/// The SHA-256 of a session's cookie: by it the session is found, and with it nobody can sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// The key of a cookie's value; nothing if it has not the form of one.
    #[must_use]
    pub fn of_cookie(value: &str) -> Option<Self> {
        let secret = (value.len() == 43).then(|| URL_SAFE_NO_PAD.decode(value).ok())??;
        Some(Self::of_secret(&secret))
    }

    fn of_secret(secret: &[u8]) -> Self {
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
        Self(key)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn stored(&self) -> String {
        format!("{SESSION}{}", URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// A new session's secret, for its cookie alone.
pub struct SessionSecret {
    secret: String,
    id: Uuid,
}

impl SessionSecret {
    /// By which the session is shown and revoked; it is no secret.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The header `Set-Cookie` that hands it out.
    #[must_use]
    pub fn set_cookie(&self) -> HeaderValue {
        let text = format!(
            "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={}",
            self.secret,
            ABSOLUTE.as_secs()
        );
        HeaderValue::try_from(text).expect("base 64 is allowed in a header")
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionSecret(…)")
    }
}

/// The header `Set-Cookie` that takes the cookie away.
#[must_use]
pub fn clear_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// What is known of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// By which it is shown and revoked; it is no secret.
    pub id: Uuid,
    /// Who signed in.
    pub person: Uuid,
    /// The organization in which the person works now.
    pub organization: Option<Uuid>,
    /// The issuer's name of the person.
    pub subject: String,
    /// The issuer's session, if it named one.
    pub sid: Option<String>,
    /// The issuer's own word on the person: with it, signing out there needs no question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last used, to the minute.
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen: OffsetDateTime,
    /// From where it began.
    pub address: IpAddr,
    /// By what it began.
    pub user_agent: Option<String>,
}

/// Who signs in, and how.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// Who.
    pub person: Uuid,
    /// In which organization.
    pub organization: Option<Uuid>,
    /// The issuer's name of the person.
    pub subject: String,
    /// The issuer's session, if it named one.
    pub sid: Option<String>,
    /// The issuer's own word on the person.
    pub id_token: Option<String>,
    /// From where.
    pub address: IpAddr,
    /// By what.
    pub user_agent: Option<String>,
}

/// The sessions. Every operation fails when Valkey does not answer: a session that cannot be read is not guessed.
#[derive(Debug, Clone)]
pub struct Sessions {
    valkey: Arc<Valkey>,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
}

type Outcome<T> = Result<T, ValkeyError>;

#[allow(clippy::missing_errors_doc, reason = "all fail as the type says")]
impl Sessions {
    /// The sessions in the durable instance.
    #[must_use]
    pub fn new(valkey: Arc<Valkey>, clock: Arc<dyn Clock>, randomness: Arc<dyn Randomness>) -> Self {
        Self { valkey, clock, randomness }
    }

    /// Begins a session with a secret of its own and ends the `previous` one of this browser, so that nobody can have
    /// planted it.
    pub async fn begin(&self, sign_in: SignIn, previous: Option<SessionKey>) -> Outcome<SessionSecret> {
        let mut secret = [0; 32];
        self.randomness.fill(&mut secret);
        let key = SessionKey::of_secret(&secret);
        // To the microsecond, as cursors have it.
        let now = self.clock.now().truncate_to_microsecond();
        let session = Session {
            id: new_id(&*self.clock, &*self.randomness),
            person: sign_in.person,
            organization: sign_in.organization,
            subject: sign_in.subject,
            sid: sign_in.sid,
            id_token: sign_in.id_token,
            created_at: now,
            last_seen: now,
            address: sign_in.address,
            user_agent: sign_in.user_agent,
        };
        let mut indexes = vec![of_person(session.person), of_subject(&session.subject)];
        indexes.extend(session.sid.as_deref().map(of_sid));
        let mut create = cmd("EVAL");
        create.arg(CREATE).arg(indexes.len() + 1).arg(key.stored()).arg(&indexes);
        create.arg(written(&session)).arg(milliseconds(IDLE)).arg(milliseconds(ABSOLUTE));
        create
            .arg(microseconds(now))
            .arg(microseconds(now + ABSOLUTE))
            .arg(URL_SAFE_NO_PAD.encode(key.0))
            .arg(SESSION)
            .arg(MOST);
        self.valkey.ask::<i64>(&create).await?;
        if let Some(previous) = previous {
            self.end(&previous).await?;
        }
        Ok(SessionSecret { secret: URL_SAFE_NO_PAD.encode(secret), id: session.id })
    }

    /// The session of this key if it goes on. That somebody looks is no use of it.
    pub async fn peek(&self, key: &SessionKey) -> Outcome<Option<Session>> {
        Ok(self.living(key, self.clock.now()).await?.map(|(_, session)| session))
    }

    /// The session of this key if it goes on, which is now used.
    pub async fn find(&self, key: &SessionKey) -> Outcome<Option<Session>> {
        let now = self.clock.now();
        let Some((text, mut session)) = self.living(key, now).await? else { return Ok(None) };
        if now - session.last_seen >= SEEN {
            session.last_seen = now;
            self.replace(key, &text, &session, now).await?;
        }
        Ok(Some(session))
    }

    /// The session as it is kept, and as what that says.
    async fn living(&self, key: &SessionKey, now: OffsetDateTime) -> Outcome<Option<(String, Session)>> {
        let text: Option<String> = self.valkey.ask(cmd("GET").arg(key.stored())).await?;
        let found = text.and_then(|text| read(&text).map(|session| (text, session)));
        Ok(found.filter(|(_, session)| now < session.created_at + ABSOLUTE && now < session.last_seen + IDLE))
    }

    /// Lets the person work in another organization; false if the session has ended.
    pub async fn enter(&self, key: &SessionKey, organization: Option<Uuid>) -> Outcome<bool> {
        // Another request may note meanwhile that the session is used, once a minute at most.
        for _ in 0..3 {
            let text: Option<String> = self.valkey.ask(cmd("GET").arg(key.stored())).await?;
            let Some((text, mut session)) = text.and_then(|text| read(&text).map(|session| (text, session)))
            else {
                return Ok(false);
            };
            session.organization = organization;
            if self.replace(key, &text, &session, self.clock.now()).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Replaces what was read, and only that: a session that was ended meanwhile stays so.
    async fn replace(
        &self,
        key: &SessionKey,
        read: &str,
        session: &Session,
        now: OffsetDateTime,
    ) -> Outcome<bool> {
        let left = (session.created_at + ABSOLUTE - now).unsigned_abs().min(IDLE);
        let mut replace = cmd("SET");
        replace
            .arg(key.stored())
            .arg(written(session))
            .arg("IFEQ")
            .arg(read)
            .arg("PX")
            .arg(milliseconds(left));
        Ok(self.valkey.ask::<Option<String>>(&replace).await?.is_some())
    }

    /// The person's sessions that go on, the oldest first.
    pub async fn list(&self, person: Uuid) -> Outcome<Vec<Session>> {
        Ok(self.listed(person).await?.into_iter().map(|(_, session)| session).collect())
    }

    async fn listed(&self, person: Uuid) -> Outcome<Vec<(String, Session)>> {
        let members: Vec<String> =
            self.valkey.ask(cmd("ZRANGE").arg(of_person(person)).arg(0).arg(-1)).await?;
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = members.into_iter().map(|member| format!("{SESSION}{member}")).collect();
        let texts: Vec<Option<String>> = self.valkey.ask(cmd("MGET").arg(&keys)).await?;
        let found = keys.into_iter().zip(texts).filter_map(|(key, text)| Some((key, read(&text?)?)));
        Ok(found.collect())
    }

    /// Ends this session: signing out.
    pub async fn end(&self, key: &SessionKey) -> Outcome<()> {
        self.valkey.ask::<i64>(cmd("DEL").arg(key.stored())).await.map(|_| ())
    }

    /// Ends one of the person's sessions; false if there is no such one.
    pub async fn revoke(&self, person: Uuid, id: Uuid) -> Outcome<bool> {
        match self.listed(person).await?.into_iter().find(|(_, session)| session.id == id) {
            Some((key, _)) => Ok(self.valkey.ask::<i64>(cmd("DEL").arg(key)).await? == 1),
            None => Ok(false),
        }
    }

    /// Ends all of the person's sessions and says how many.
    pub async fn revoke_all(&self, person: Uuid) -> Outcome<i64> {
        self.revoke_index(of_person(person)).await
    }

    /// Ends the sessions that began by this session of the issuer: back-channel logout.
    pub async fn revoke_sid(&self, sid: &str) -> Outcome<i64> {
        self.revoke_index(of_sid(sid)).await
    }

    /// Ends all sessions of whom the issuer names so: back-channel logout without a `sid`.
    pub async fn revoke_subject(&self, subject: &str) -> Outcome<i64> {
        self.revoke_index(of_subject(subject)).await
    }

    async fn revoke_index(&self, index: String) -> Outcome<i64> {
        self.valkey.ask(cmd("EVAL").arg(REVOKE_ALL).arg(1).arg(index).arg(SESSION)).await
    }
}

fn of_person(person: Uuid) -> String {
    format!("app:sessions:person:{person}")
}

/// The issuer's names are of any length and content; their hash is not.
fn of_subject(subject: &str) -> String {
    format!("app:sessions:subject:{}", URL_SAFE_NO_PAD.encode(SessionKey::of_secret(subject.as_bytes()).0))
}

fn of_sid(sid: &str) -> String {
    format!("app:sessions:sid:{}", URL_SAFE_NO_PAD.encode(SessionKey::of_secret(sid.as_bytes()).0))
}

/// Fine enough to tell which of two is older, and exact as a score, which is a floating-point number.
fn microseconds(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn written(session: &Session) -> String {
    serde_json::to_string(session).expect("a session is plain JSON")
}

fn read(text: &str) -> Option<Session> {
    serde_json::from_str(text)
        .inspect_err(|error| tracing::error!(%error, "a stored session cannot be read"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_a_cookie_has_a_key() {
        let value = URL_SAFE_NO_PAD.encode([7; 32]);
        assert!(SessionKey::of_cookie(&value).is_some());
        for bad in ["", &value[..42], &format!("{value}A"), &"\u{e9}".repeat(21), &"!".repeat(43)] {
            assert!(SessionKey::of_cookie(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_cookie_is_for_this_host_and_its_pages_alone() {
        let cookie = SessionSecret { secret: "secret".to_owned(), id: Uuid::nil() }.set_cookie();
        let cookie = cookie.to_str().unwrap();
        for part in ["__Host-session=secret", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
            assert!(cookie.contains(part), "{part}");
        }
        assert!(!cookie.contains("Domain"));
    }
}
