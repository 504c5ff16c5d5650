//! Whoever tries what is wrong, again and again, is slowed where they are, and nobody is locked out by it elsewhere.
//!
//! What is tried decides how. What somebody brings from an address of their own — a client's proof, an operator's link, a
//! sign-in that begins or ends — is refused beyond its quota before anything is looked at. What comes through others, so that
//! a guesser and a victim may have one address — codes and tokens from an application's server, cookies from behind a shared
//! address — is looked at first: what is right passes whatever has happened before, and what is wrong beyond the quota waits.
//! What succeeds costs nothing, but for the beginning of a sign-in, which is counted each time.

mod known;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use foundation::problem::{Problem, codes};
use foundation::rate_limit::gcra::Quota;
use foundation::telemetry::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use time::OffsetDateTime;

use known::{Caller, Known, network};

/// How long the answer to something wrong waits beyond the quota.
const WAITS: Duration = Duration::from_secs(1);
/// As many answers of one caller wait at once; what is wrong beyond that is refused at once.
const MOST_WAITING: u32 = 8;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tried {
    /// To be a client: the one of this place among the clients, or none that there is.
    Client(Option<usize>),
    /// A code, or a refresh or access token, by the client of this place.
    Token(usize),
    /// An access token, by whoever has it.
    Bearer,
    /// To sign in at a client that there is not, or for a place that is not registered.
    Request,
    /// An ID token, as a hint of who is meant.
    Hint,
    /// The cookie of a session.
    Session,
    /// An operator's link.
    Link,
    /// To leave for a login provider.
    Begin,
    /// To come back from one.
    Return,
}

impl Tried {
    /// How often in a minute, from one address.
    fn quota(self) -> Quota {
        match self {
            Self::Client(Some(_)) => Quota::per_minute(10),
            // More than for one client, because several may share an address.
            Self::Client(None)
            | Self::Token(_)
            | Self::Bearer
            | Self::Request
            | Self::Hint
            | Self::Link
            | Self::Return => Quota::per_minute(60),
            // Of many who share an address, many may have a session that has ended.
            Self::Session => Quota::per_minute(120),
            // So many people begin their day at once.
            Self::Begin => Quota::per_minute(300),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::Token(_) => "token",
            Self::Bearer => "bearer",
            Self::Request => "request",
            Self::Hint => "hint",
            Self::Session => "session",
            Self::Link => "link",
            Self::Begin => "begin",
            Self::Return => "return",
        }
    }
}

/// How the answer to something wrong goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    Usual,
    /// It has waited, because there were too many; after so long there would be none too many.
    Late(Duration),
    /// Too many wait already.
    Crowded(Duration),
}

/// How much has failed.
#[derive(Debug, Default)]
pub struct Throttle {
    known: Mutex<Known>,
    waiting: Mutex<HashMap<Caller, u32>>,
    slowed: Family<SlowedLabels, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SlowedLabels {
    tried: &'static str,
}

impl Throttle {
    /// Adds to the metrics how often somebody was slowed.
    pub fn register(&self, metrics: &Metrics) {
        let help = "Attempts that were refused or had to wait because too many had failed, by what was tried";
        metrics.register(|registry| registry.register("slowed", help, self.slowed.clone()));
    }

    /// Whether another attempt may be made.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check(&self, tried: Tried, address: IpAddr, now: OffsetDateTime) -> Result<(), Duration> {
        let waits = self.known().wait(tried, network(address), now);
        if waits.is_some() {
            self.count(tried);
        }
        waits.map_or(Ok(()), Err)
    }

    /// An attempt has failed.
    pub fn failed(&self, tried: Tried, address: IpAddr, now: OffsetDateTime) {
        self.known().failed(tried, network(address), now);
    }

    /// The client of this place has proven who it is: at this address it is not to be locked out by what others do elsewhere.
    pub fn proved(&self, client: usize, address: IpAddr) {
        self.known().proved(client, network(address));
    }

    /// Another attempt is made, which counts whatever comes of it.
    ///
    /// # Errors
    /// How long to wait, where there were too many.
    pub fn count_in(&self, tried: Tried, address: IpAddr, now: OffsetDateTime) -> Result<(), Duration> {
        self.check(tried, address, now)?;
        self.failed(tried, address, now);
        Ok(())
    }

    /// Something wrong was brought: counts it, and waits where there was too much of it.
    pub async fn wrong(&self, tried: Tried, address: IpAddr, now: OffsetDateTime) -> Pace {
        let Err(wait) = self.check(tried, address, now) else {
            self.failed(tried, address, now);
            return Pace::Usual;
        };
        let Some(_place) = Place::take(self, Caller::at(network(address), tried)) else {
            return Pace::Crowded(wait);
        };
        tokio::time::sleep(WAITS).await;
        Pace::Late(wait)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Caller, u32>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, tried: Tried) {
        self.slowed.get_or_create(&SlowedLabels { tried: tried.as_str() }).inc();
    }
}

/// A place among the answers of a caller that wait; it is free again when the answer goes out, or nobody waits for it.
struct Place<'a> {
    throttle: &'a Throttle,
    caller: Caller,
}

impl<'a> Place<'a> {
    fn take(throttle: &'a Throttle, caller: Caller) -> Option<Self> {
        let mut waiting = throttle.waiting();
        let count = waiting.entry(caller).or_default();
        if *count >= MOST_WAITING {
            return None;
        }
        *count += 1;
        Some(Self { throttle, caller })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.throttle.waiting();
        if let Some(count) = waiting.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.caller);
            }
        }
    }
}

/// What somebody is told who has to wait so long.
#[must_use]
pub fn problem(wait: Duration) -> Problem {
    Problem::new(&codes::RATE_LIMITED).header(RETRY_AFTER, seconds(wait))
}

/// A wait, as the header `Retry-After` has it.
#[must_use]
pub fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs() + 1)
}

#[cfg(test)]
mod tests;
