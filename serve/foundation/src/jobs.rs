//! Jobs: run at least once after their commit, whatever dies.
//!
//! PostgreSQL is the truth ([`crate::outbox`]), Valkey the queue. A feeder puts the identifiers of due jobs into a sorted
//! set; a worker takes one from it, claims its row with a lease, runs the handler and records the outcome. The moment at
//! which a job is to be fed next stands in its row: a while after it was fed, in case the queue was lost; when its lease
//! ends, in case the worker was; when its next attempt is due, after a failure. So there is one statement that feeds,
//! and nothing else to reconcile. A job in the queue twice is there once, because its identifier is the member.
//!
//! Where a policy gives organizations a share, none takes more slots of a process than that, nor more of the queue than
//! leaves room for others: what it has beyond waits, without an attempt, while jobs of others pass it.
//!
//! A handler may run twice for one job: make its effect the same the second time, by the job's id.

mod backoff;
mod dead;
mod feeder;
mod finishing;
mod handler;
mod metrics;
mod queue;
mod runner;
mod schedule;
mod slots;
mod store;
mod worker;

pub use backoff::Backoff;
pub use dead::{DeadJob, Discarded, discard, list_dead, replay};
pub use handler::{Failure, Handler, Job, Policy, Registry};
pub use metrics::{Depth, Depths, Metrics, depths};
pub use queue::Queue;
pub use schedule::Schedule;
pub use worker::{Settings, Worker};
