//! One transaction a write: the effect, its audit events and the answer kept for its Idempotency-Key commit together or
//! not at all.
//!
//! A write with a key costs two round trips beside what the effect itself asks: one begins and looks the key up, one
//! sends everything that nobody has to wait for, and commits. Semantics of the key: draft-ietf-httpapi-idempotency-key-07,
//! which has expired; what holds here is said in this module.

mod answer;
pub mod idempotency;
mod request;
pub mod sweep;
pub mod transaction;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::audit::{Event, Origin};
use crate::clock::{self, Clock, Randomness};
use crate::database::{Database, DatabaseError};
use crate::jobs::Queue;
use crate::outbox::{self, NewJob};
use crate::problem::{Code, Problem, codes};
use crate::seal::KeyRing;
use crate::telemetry::Line;
use idempotency::{Answer, Found, Key, Keyed};
use transaction::Transaction;

pub use request::{FormRequest, KEY_FIELD, Place, WriteRequest};

/// Does writes.
#[derive(Debug, Clone)]
pub struct Writes {
    database: Database,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    keys_last: Duration,
    queue: Option<Queue>,
    keys: Option<Arc<KeyRing>>,
    problems: &'static [&'static Code],
}

/// A write that somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who asks, and in which request.
    pub origin: &'a Origin,
    /// Method and path: a key belongs to them.
    pub route: &'a str,
    /// The request's body: a key belongs to it.
    pub payload: &'a [u8],
    /// In which organization the caller works: a key belongs to it, and to the caller's token. Another one could be given
    /// what it may not see.
    pub works_in: Option<Uuid>,
    /// The key, where one was sent.
    pub key: Option<&'a Key>,
}

/// What became of asking.
#[derive(Debug)]
pub enum Begun {
    /// The write is to be done.
    New(Box<Unit>),
    /// It was done before: this is its answer again.
    Answered(Response),
}

/// A write under way: what a handler does its effect with. One that is dropped before its end is undone.
#[derive(Debug)]
#[must_use = "a write that does not end is undone"]
pub struct Unit {
    /// The open transaction.
    pub transaction: Transaction,
    writes: Writes,
    origin: Origin,
    keyed: Option<Keyed>,
    now: OffsetDateTime,
    events: Vec<Event>,
    jobs: Vec<NewJob>,
    afterwards: Afterwards,
}

/// What is done once the write is committed.
#[derive(Default)]
struct Afterwards(Vec<Box<dyn FnOnce() + Send + Sync>>);

impl fmt::Debug for Afterwards {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Afterwards").field(&self.0.len()).finish()
    }
}

impl Writes {
    /// Writes to `database`; answers for keys are kept for `keys_last`.
    #[must_use]
    pub fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
        keys_last: Duration,
    ) -> Self {
        Self { database, clock, randomness, keys_last, queue: None, keys: None, problems: &[] }
    }

    /// Tells the workers of this queue when a write has left jobs.
    #[must_use]
    pub fn waking(mut self, queue: Queue) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Seals with these keys what is kept of answers that hold a secret. Without them there are no such answers.
    #[must_use]
    pub fn sealing(mut self, keys: Arc<KeyRing>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Knows the application's own problems beside the foundation's, so that one that is given again is counted and
    /// logged as what it is.
    #[must_use]
    pub fn knowing(mut self, problems: &'static [&'static Code]) -> Self {
        self.problems = problems;
        self
    }

    /// Begins what is asked. Where its key is known, its answer is given again and nothing is to be done.
    ///
    /// # Errors
    /// The problem of the key or of the database.
    pub async fn begin(&self, ask: Ask<'_>) -> Result<Begun, Problem> {
        let now = self.clock.now();
        let mut keyed = ask.key.map(|key| Keyed::new(key, &ask));
        let (organization, request_id) = (ask.origin.organization, ask.origin.request_id.as_str());
        let values = keyed.as_ref().map(Keyed::lookup);
        let first = values.as_ref().map(|values| (idempotency::LOOK_UP, values.as_slice()));
        let (transaction, row) = Transaction::begin(&self.database, organization, request_id, first).await?;
        if let (Some(keyed), Some(row)) = (&mut keyed, &row) {
            match keyed.judge(row, now, self)? {
                Found::Answered(answer) => return Ok(Begun::Answered(answer.replay())),
                Found::Expired => keyed.replaces = true,
                Found::Nothing => {}
            }
        }
        Ok(Begun::New(self.unit(transaction, ask.origin, keyed, now)))
    }

    fn unit(
        &self,
        transaction: Transaction,
        origin: &Origin,
        keyed: Option<Keyed>,
        now: OffsetDateTime,
    ) -> Box<Unit> {
        let (writes, origin) = (self.clone(), origin.clone());
        let (events, jobs, afterwards) = (Vec::new(), Vec::new(), Afterwards::default());
        Box::new(Unit { transaction, writes, origin, keyed, now, events, jobs, afterwards })
    }

    /// Begins a write that has no key and could not have one, such as signing in.
    ///
    /// # Errors
    /// The problem of the database.
    pub async fn begin_without_key(&self, origin: &Origin) -> Result<Box<Unit>, Problem> {
        match self.begin(Ask { origin, route: "", payload: &[], works_in: None, key: None }).await? {
            Begun::New(unit) => Ok(unit),
            Begun::Answered(_) => Err(Problem::new(&codes::INTERNAL)),
        }
    }

    /// Begins a write that has no key by asking `sql` in the same round trip, which answers with one row whatever it finds.
    ///
    /// # Errors
    /// The problem of the database.
    pub async fn begin_asking(
        &self,
        origin: &Origin,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<(Box<Unit>, Row), Problem> {
        let (now, first) = (self.clock.now(), Some((sql, values)));
        let (organization, request_id) = (origin.organization, origin.request_id.as_str());
        let (transaction, row) = Transaction::begin(&self.database, organization, request_id, first).await?;
        let row = row.ok_or_else(|| Problem::new(&codes::INTERNAL))?;
        Ok((self.unit(transaction, origin, None, now), row))
    }

    /// Writes the event of something that changes nothing else, such as an export; the moment of the event.
    ///
    /// # Errors
    /// The problem of the database; what the event is about must then not happen.
    pub async fn record(&self, origin: &Origin, event: Event) -> Result<OffsetDateTime, Problem> {
        let mut unit = self.begin_without_key(origin).await?;
        let now = unit.now();
        unit.audit(event);
        unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await?;
        Ok(now)
    }
}

impl Unit {
    /// The moment of the write.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// A new identifier.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        clock::new_id(&*self.writes.clock, &*self.writes.randomness)
    }

    /// Tells the time, for what is made within the write.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.writes.clock
    }

    /// Makes secrets and identifiers, for what is made within the write.
    #[must_use]
    pub fn randomness(&self) -> &dyn Randomness {
        &*self.writes.randomness
    }

    /// Who asked, and in which request.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Goes on in the name of a person, and in an organization, who were not known when the write began. The rest of it
    /// sees that organization, and its audit events are that one's.
    ///
    /// # Errors
    /// The problem of the database.
    pub async fn go_on_as(&mut self, person: Uuid, organization: Option<Uuid>) -> Result<(), Problem> {
        self.transaction.enter(organization).await?;
        Line::say(|line| line.person(person, organization));
        self.origin.actor_kind = "person";
        self.origin.actor_id = Some(person);
        self.origin.organization = organization;
        Ok(())
    }

    /// Leaves a job that runs after the effect was committed; it says which request it follows from.
    pub fn enqueue(&mut self, job: NewJob) {
        let traceparent = crate::request::current().map(|context| context.trace.traceparent());
        self.jobs.push(job.caused_by(Some(self.origin.request_id.clone()), traceparent));
    }

    /// Writes an audit event with the effect. The first one says what the request does.
    pub fn audit(&mut self, event: Event) {
        Line::say(|line| line.action(event.action()));
        self.events.push(event);
    }

    /// Does this in this process once the write is committed, and never where it is not. It is lost where the process dies
    /// in between, or the commit's answer: what must not be lost is a job.
    pub fn when_committed(&mut self, work: impl FnOnce() + Send + Sync + 'static) {
        self.afterwards.0.push(Box::new(work));
    }

    /// Ends the write: the effect, its audit events and its answer are committed together.
    ///
    /// A problem undoes the effect. One that is the caller's is kept as the key's answer; one that is the server's is not,
    /// so that the caller may try again.
    ///
    /// # Errors
    /// The problem of the effect or of the database.
    pub async fn end(self, outcome: Result<Answer, Problem>) -> Result<Response, Problem> {
        match outcome {
            Ok(answer) => self.commit(answer).await,
            Err(problem) if problem.status().is_client_error() => self.refuse(problem).await,
            Err(problem) => Err(problem),
        }
    }

    async fn commit(mut self, answer: Answer) -> Result<Response, Problem> {
        for event in std::mem::take(&mut self.events) {
            let id = self.new_id();
            event.write_later(&mut self.transaction, id, self.now, &self.origin);
        }
        let leaves_jobs = !self.jobs.is_empty();
        for job in std::mem::take(&mut self.jobs) {
            self.transaction.later(outbox::INSERT, job.into_parameters());
        }
        if let Some(keyed) = &self.keyed {
            let expires = self.now + self.writes.keys_last;
            let kept = keyed.kept(&answer, self.writes.keys.as_deref(), &*self.writes.randomness)?;
            keyed.keep_later(&mut self.transaction, &answer, kept, (self.now, expires));
        }
        let afterwards = std::mem::take(&mut self.afterwards);
        match self.transaction.commit().await {
            Ok(()) => {
                afterwards.0.into_iter().for_each(|work| work());
                if let Some(queue) = self.writes.queue.as_ref().filter(|_| leaves_jobs) {
                    queue.wake();
                }
                Ok(answer.into_response())
            }
            Err(DatabaseError::Refused(error)) if idempotency::is_taken(&error) => {
                // Another request with the same key ended between our lookup and our lock. Its answer is there by now.
                let keyed = self.keyed.ok_or_else(idempotency::in_use)?;
                keyed.answer_again(&self.writes, &self.origin, self.now).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Undoes the effect and keeps the problem as the key's answer.
    async fn refuse(mut self, problem: Problem) -> Result<Response, Problem> {
        let Some(keyed) = &self.keyed else { return Err(problem) };
        // Complete as it is kept: the border adds nothing to it, and it is the same when it is given again.
        let problem =
            problem.with("request_id", self.origin.request_id.as_str()).with("instance", keyed.path());
        self.events.clear();
        self.jobs.clear();
        self.afterwards.0.clear();
        self.transaction.restart().await?;
        self.commit(Answer::of_problem(problem)).await
    }
}

/// The problem of a write without a key on a route that wants one.
#[must_use]
pub fn key_missing() -> Problem {
    Problem::new(&codes::IDEMPOTENCY_KEY_MISSING)
}
