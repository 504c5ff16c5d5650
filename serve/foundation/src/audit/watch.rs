//! What is no write and belongs in the log all the same: what was refused, and tokens that are used for the first time or
//! from a place that is new.
//!
//! Nobody waits for it. A request leaves a notice in memory after its answer is made; a task beside the requests writes
//! them, once a second, and what is left at the end. A process that dies takes at most what came in since. Notices cannot
//! flood the log: what is the same is written once and then counted for a minute, what one organization is refused beyond
//! [`tally::MOST_OF_ONE`] different things in a minute is counted together, and what does not fit into memory is dropped
//! and counted by a metric.

mod places;
mod tally;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use futures_util::FutureExt as _;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde_json::Value;

use super::{Event, Origin, Outcome};
use crate::auth::actor::{Actor, Agent};
use crate::auth::session::{SessionKey, Sessions};
use crate::clock::{Clock, Randomness};
use crate::database::Database;
use crate::problem::{self, Code, Problem};
use crate::request::RequestContext;
use places::Places;
use tally::{Key, Notice, Tally};

/// How often notices are written.
const EVERY: Duration = Duration::from_secs(1);
/// What is left at the end is written in this time or not.
const AT_THE_END: Duration = Duration::from_secs(2);

/// Watches what is answered. One a process.
#[derive(Debug)]
pub struct Watch {
    database: Database,
    sessions: Sessions,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    tally: Mutex<Tally>,
    places: Mutex<Places>,
    dropped: Counter,
}

/// What is known of a request before it is answered.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    context: RequestContext,
    method: Method,
    route: Option<MatchedPath>,
}

/// Whose credential was refused.
#[derive(Debug, Clone)]
pub(crate) enum Owner {
    /// The token's agent.
    Agent(Agent),
    /// Whoever has the session: it was not asked for whom.
    Session(SessionKey),
}

impl Asked {
    /// What the request says of itself; nothing without a border.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        Some(Self {
            context: request.extensions().get::<RequestContext>()?.clone(),
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
        })
    }

    /// The operation, as the description of the API names it.
    fn operation(&self) -> String {
        format!("{} {}", self.method, self.route.as_ref().map_or("unmatched", MatchedPath::as_str))
    }
}

impl Watch {
    /// Writes to `database`; `sessions` say whose a refused one is.
    #[must_use]
    pub fn new(
        database: Database,
        sessions: Sessions,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        let (tally, places, dropped) = (Mutex::default(), Mutex::default(), Counter::default());
        Self { database, sessions, clock, randomness, tally, places, dropped }
    }

    /// Registers the counter of what was dropped.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Refusals and uses of tokens that were not audited, because too many came at once";
        registry.register("audit_notices_dropped", help, self.dropped.clone());
    }

    /// Takes note of what `actor` was answered.
    pub(crate) fn answered(&self, actor: &Actor, asked: &Asked, response: &Response) {
        if let Actor::Agent(agent) = actor {
            self.used(agent, actor, asked);
        }
        if let Some(kind) = problem::kind(response).filter(|kind| kind.status == StatusCode::FORBIDDEN) {
            let origin = Origin::of(Some(actor), &asked.context);
            self.denied(origin, None, kind, asked, problem::document(response));
        }
    }

    /// Takes note of a credential that was refused.
    pub(crate) fn refused(&self, owner: Owner, asked: &Asked, problem: &Problem) {
        let (origin, session) = match owner {
            Owner::Agent(agent) => (Origin::of(Some(&Actor::Agent(agent)), &asked.context), None),
            Owner::Session(key) => (Origin::of(None, &asked.context), Some(key)),
        };
        self.denied(origin, session, problem.code(), asked, Some(problem.document()));
    }

    fn denied(
        &self,
        origin: Origin,
        session: Option<SessionKey>,
        kind: &'static Code,
        asked: &Asked,
        document: Option<Value>,
    ) {
        let operation = asked.operation();
        let mut event = Event::new("request.deny", "operation")
            .of(&operation)
            .outcome(Outcome::Denied)
            .changed("problem", (), kind.code);
        for said in ["detail", "scope"] {
            if let Some(value) = document.as_ref().and_then(|document| document.get(said)) {
                event = event.changed(said, (), value.clone());
            }
        }
        let key = Key::of(&origin, session, kind.code, operation);
        let notice = Notice { origin, session, event, at: self.clock.now() };
        if !lock(&self.tally).note(key, notice) {
            self.dropped.inc();
        }
    }

    /// Takes note of where a token is used from, if that is new to this process.
    fn used(&self, agent: &Agent, actor: &Actor, asked: &Asked) {
        let place = places::of(asked.context.address);
        let mut places = lock(&self.places);
        if places.is_new(agent.token_id, place) {
            let origin = Origin::of(Some(actor), &asked.context);
            let at = self.clock.now();
            if !places.note(places::Use {
                organization: agent.organization,
                token_id: agent.token_id,
                place,
                origin,
                at,
            }) {
                self.dropped.inc();
            }
        }
    }

    /// Writes until `stop` completes, and then what is left, for a short while.
    pub async fn keep(&self, stop: impl Future<Output = ()>) {
        let stop = stop.shared();
        let end = stop.clone().then(|()| tokio::time::sleep(AT_THE_END));
        let work = async {
            loop {
                tokio::select! {
                    () = stop.clone() => break,
                    () = tokio::time::sleep(EVERY) => self.write(false).await,
                }
            }
            self.write(true).await;
            !lock(&self.tally).has_more()
        };
        let all = tokio::select! {
            all = work => all,
            () = end => false,
        };
        if !all {
            tracing::warn!("what was refused last is not in the audit log: the database does not answer");
        }
    }
}

/// What the locks guard is whole also after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
