//! Rate limits: GCRA in the cache Valkey, per address, credential and person, by class of route.
//!
//! The decision is one script, so that two requests cannot both take the last place; all limits of a request are asked
//! in one exchange. Whoever is far from every limit passes before Valkey is told. Where Valkey does not answer, requests
//! pass and are counted: a limit protects the service, and must not be what takes it down.

pub mod gcra;
pub mod layer;
mod ledger;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use uuid::Uuid;

use crate::auth::session::SessionKey;
use crate::auth::token::TokenHash;
use crate::clock::Clock;
use crate::problem::{Problem, codes};
use crate::valkey::{Script, Valkey};
use gcra::{Quota, Standing};
use ledger::Ledger;

const SCRIPT: &str = include_str!("rate_limit/gcra.lua");
/// How much is left.
pub const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// How much there is.
pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// A decision that takes longer is made without Valkey.
const PATIENCE: Duration = Duration::from_millis(250);
/// After Valkey did not answer it is left alone for this long.
const PAUSE: Duration = Duration::from_secs(1);

/// How long what has passed stays unknown to Valkey.
const SETTLED_EVERY: Duration = Duration::from_millis(50);
/// Valkey is told of so many limits at once: others wait for their answer meanwhile.
const SETTLED_AT_ONCE: usize = 200;

/// Who is limited. Credentials are named by their hashes, so that nothing has to be asked before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Everybody behind an address, as [`Subject::address`] makes it.
    Address(IpAddr),
    /// A bearer token.
    Token(TokenHash),
    /// A session.
    Session(SessionKey),
    /// A person, in all sessions.
    Person(Uuid),
}

impl Subject {
    /// Everybody behind an address; of IPv6 the network of 64 bits, which is one customer's.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }

    fn key(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self {
            Self::Address(address) => format!("address:{address}"),
            Self::Token(hash) => format!("token:{}", hex(&hash.as_bytes()[..16])),
            Self::Session(key) => format!("session:{}", hex(&key.as_bytes()[..16])),
            Self::Person(id) => format!("person:{id}"),
        }
    }
}

/// A limit for a subject: `name` says it in the headers, a token such as `read-address`, and separates classes of route.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Letters, digits and hyphens.
    pub name: &'static str,
    /// How much.
    pub quota: Quota,
    /// For whom.
    pub subject: Subject,
}

/// What was decided: headers for the answer, and whether there is an answer other than 429.
#[derive(Debug)]
pub struct Decision {
    passes: bool,
    standings: Vec<(Limit, Standing)>,
}

impl Decision {
    /// Refuses what does not pass.
    ///
    /// # Errors
    /// A problem `rate-limited`.
    pub fn check(&self) -> Result<(), Problem> {
        if self.passes {
            return Ok(());
        }
        let exhausted = || self.standings.iter().filter(|(_, standing)| standing.remaining == 0);
        let wait =
            exhausted().map(|(_, standing)| whole_seconds(standing.retry_after)).max().unwrap_or(1).max(1);
        let names: Vec<&str> = exhausted().map(|(limit, _)| limit.name).collect();
        Err(Problem::new(&codes::RATE_LIMITED)
            .with("violated-policies", names)
            .header(RETRY_AFTER, HeaderValue::from(wait)))
    }

    /// Puts `RateLimit` and `RateLimit-Policy` on an answer, also on one that was refused.
    pub fn describe(&self, headers: &mut HeaderMap) {
        for (limit, standing) in &self.standings {
            let policy =
                format!("{};q={};w={}", limit.name, limit.quota.requests(), limit.quota.window().as_secs());
            let left =
                format!("{};r={};t={}", limit.name, standing.remaining, whole_seconds(standing.full_after));
            for (name, value) in [(POLICY, policy), (LIMIT, left)] {
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.append(name, value);
                }
            }
        }
    }
}

/// Decides. One a process.
#[derive(Debug)]
pub struct RateLimiter {
    cache: Arc<Valkey>,
    script: Script,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    let_through: Counter,
    /// Until then (microseconds) Valkey is left alone.
    paused_until: AtomicI64,
}

impl RateLimiter {
    /// Counts in the cache instance.
    #[must_use]
    pub fn new(cache: Arc<Valkey>, clock: Arc<dyn Clock>) -> Self {
        let script = Script::new(SCRIPT);
        let (ledger, let_through, paused_until) = Default::default();
        Self { cache, script, ledger, clock, let_through, paused_until }
    }

    /// Adds to a registry how many requests passed because Valkey did not answer: a metric to alert on.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Requests that passed without a limit, because the cache Valkey did not answer";
        registry.register("rate_limit_let_through", help, self.let_through.clone());
    }

    /// Charges a request to all `limits`, or, where one of them is exhausted, to none.
    pub async fn decide(&self, limits: Vec<Limit>) -> Decision {
        let now = self.now();
        let (passes, stands) = match self.ledger.charge(&limits, now) {
            Some(stands) => (true, stands),
            None => match self.ask(&limits, &self.ledger.take(&limits), true, now).await {
                Some(answer) => answer,
                None => {
                    self.let_through.inc();
                    return Decision { passes: true, standings: Vec::new() };
                }
            },
        };
        let standings = limits.into_iter().zip(stands);
        let standings = standings.map(|(limit, at)| (limit, gcra::standing(limit.quota, at, now))).collect();
        Decision { passes, standings }
    }

    /// Tells Valkey of what has passed, again and again.
    pub async fn keep(&self) {
        loop {
            tokio::time::sleep(SETTLED_EVERY).await;
            self.settle().await;
        }
    }

    /// Tells Valkey of everything that has passed without its knowledge.
    pub async fn settle(&self) {
        loop {
            let now = self.now();
            let (limits, owed): (Vec<Limit>, Vec<u32>) =
                self.ledger.take_all(SETTLED_AT_ONCE, now).into_iter().unzip();
            if limits.is_empty() || self.ask(&limits, &owed, false, now).await.is_none() {
                return;
            }
        }
    }

    /// Whether a request passes, if one asks, and where each limit stands then; none where Valkey does not answer.
    async fn ask(&self, limits: &[Limit], owed: &[u32], passes: bool, now: i64) -> Option<(bool, Vec<i64>)> {
        if now < self.paused_until.load(Ordering::Relaxed) {
            return None;
        }
        let name = |limit: &Limit| format!("app:limit:{}:{}", limit.name, limit.subject.key());
        let keys: Vec<String> = limits.iter().map(name).collect();
        let of_each = limits.iter().zip(owed).flat_map(|(limit, owed)| {
            [limit.quota.interval_us(), limit.quota.requests().into(), (*owed).into()]
        });
        let values: Vec<i64> = [now, passes.into()].into_iter().chain(of_each).collect();
        let asking = self.cache.run::<Vec<i64>>(&self.script, &keys, values);
        let error = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(answer)) if answer.len() == limits.len() + 1 => {
                let (passes, stands) = (answer[0] == 1, answer[1..].to_vec());
                self.ledger.learn(limits, &stands, now);
                return Some((passes, stands));
            }
            Ok(Ok(_)) => "the answer is not one of the script".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        self.ledger.forget();
        let pause = i64::try_from(PAUSE.as_micros()).unwrap_or(0);
        self.paused_until.store(now.saturating_add(pause), Ordering::Relaxed);
        tracing::warn!(%error, "rate limits let requests through: the cache Valkey does not answer");
        None
    }

    /// Microseconds since 1970.
    fn now(&self) -> i64 {
        i64::try_from(self.clock.now().unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
    }
}

/// Rounded up: who waits that long does not come too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_which_limit_and_how_long() {
        let quota = Quota::per_minute(2);
        let subject = Subject::Address("192.0.2.1".parse().unwrap());
        let limit = Limit { name: "read-address", quota, subject };
        let standing = gcra::standing(quota, 60_000_000, 0);
        let decision = Decision { passes: false, standings: vec![(limit, standing)] };
        let problem = decision.check().unwrap_err();
        assert_eq!(problem.document()["violated-policies"], serde_json::json!(["read-address"]));
        let mut headers = HeaderMap::new();
        decision.describe(&mut headers);
        assert_eq!(headers["ratelimit"], "read-address;r=0;t=60");
        assert_eq!(headers["ratelimit-policy"], "read-address;q=2;w=60");
    }

    #[test]
    fn an_ipv6_customer_is_one_subject() {
        let key = |text: &str| Subject::address(text.parse().unwrap()).key();
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
