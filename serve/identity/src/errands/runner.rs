//! What does the errands: in every process, each errand in one at a time, until it is done or a day old.

use std::sync::Arc;
use std::time::Duration;

use foundation::database::DatabaseError;
use foundation::jobs::Backoff;
use foundation::request::{self, RequestContext};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio_postgres::Row;
use uuid::Uuid;

use super::mail::{self, Occasion};
use super::{Errand, KINDS};
use crate::provider::back_channel;
use crate::state::Broker;

/// How long a process has an errand to itself: longer than an attempt takes.
const LEASE: Duration = Duration::from_secs(120);
/// How long an attempt takes at most.
const LIMIT: Duration = Duration::from_secs(60);
/// How many of one kind are under way at once in one process: a mail server that hangs holds up no client.
const AT_ONCE: usize = 4;
/// Between two looks at what is due.
const PAUSE: Duration = Duration::from_secs(1);
/// After this long it is given up: nobody wants to hear of it any more.
const GIVEN_UP: Duration = Duration::from_secs(86_400);
/// The waits between attempts: ten seconds, and up to an hour.
const BACKOFF: Backoff =
    Backoff::Doubling { first: Duration::from_secs(10), longest: Duration::from_secs(3_600) };
/// Characters of an error that are kept.
const REASON: usize = 500;

const CLAIM: &str = "UPDATE errands SET due_at = $2, attempts = attempts + 1 WHERE id IN (\
     SELECT id FROM errands WHERE kind = $4 AND due_at <= $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) \
     RETURNING id, payload, request_id, created_at, attempts";
const DONE: &str = "DELETE FROM errands WHERE id = $1";
const AGAIN: &str = "UPDATE errands SET due_at = $2, last_error = $3 WHERE id = $1";

/// How errands ended.
#[derive(Debug, Clone, Default)]
pub struct Counts(Family<Labels, Counter>);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    kind: &'static str,
    outcome: &'static str,
}

impl Counts {
    /// Shows them to Prometheus.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Attempts at errands, by how they ended: done, failed, given_up";
        registry.register("errands", help, self.0.clone());
    }

    fn count(&self, kind: &'static str, outcome: &'static str) {
        self.0.get_or_create(&Labels { kind, outcome }).inc();
    }
}

/// An errand that this process has to itself for a while.
struct Claimed {
    id: Uuid,
    errand: Option<Errand>,
    request_id: Option<String>,
    created_at: OffsetDateTime,
    attempts: i32,
}

/// Why an errand was not done.
enum Failed {
    /// It may be done later.
    Later(String),
    /// It never will.
    Never(String),
}

/// Does errands until told to stop, and then ends those that are under way. A kind that this program does not know is left
/// to a newer one.
pub async fn run<F: Future<Output = ()>>(broker: Arc<Broker>, counts: Counts, stop: impl Fn() -> F) {
    let [first, second] = KINDS.map(|kind| run_kind(&broker, &counts, kind, stop()));
    tokio::join!(first, second);
}

async fn run_kind(broker: &Arc<Broker>, counts: &Counts, kind: &'static str, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let mut under_way = JoinSet::new();
    loop {
        let free = AT_ONCE - under_way.len();
        let claimed = if free > 0 { claim(broker, kind, free).await } else { Ok(Vec::new()) };
        let claimed = claimed.unwrap_or_else(|error| {
            tracing::warn!(%error, "errands cannot be looked up");
            Vec::new()
        });
        let took_all = claimed.len() == free && free > 0;
        for claimed in claimed {
            let (broker, counts) = (Arc::clone(broker), counts.clone());
            under_way.spawn(async move { attempt(&broker, &counts, claimed).await });
        }
        tokio::select! {
            () = &mut stop => break,
            // There may be more: whoever ends makes room.
            Some(_) = under_way.join_next(), if took_all || under_way.len() == AT_ONCE => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

async fn claim(broker: &Broker, kind: &str, most: usize) -> Result<Vec<Claimed>, DatabaseError> {
    let now = broker.clock.now();
    let (lease, most) = (now + LEASE, i64::try_from(most).unwrap_or(1));
    let rows = broker
        .database
        .ask(async |client| {
            let statement = client.prepare_cached(CLAIM).await?;
            client.query(&statement, &[&now, &lease, &most, &kind]).await
        })
        .await?;
    let read = |row: &Row| Claimed {
        id: row.get("id"),
        errand: serde_json::from_value(row.get("payload")).ok(),
        request_id: row.get("request_id"),
        created_at: row.get("created_at"),
        attempts: row.get("attempts"),
    };
    Ok(rows.iter().map(read).collect())
}

/// Tries it once, in the name of the request that it follows from, and writes down what became of it.
async fn attempt(broker: &Broker, counts: &Counts, claimed: Claimed) {
    let (clock, randomness) = (&*broker.clock, &*broker.randomness);
    let context = RequestContext::following(claimed.request_id.as_deref(), None, clock, randomness);
    let work = async {
        let kind = claimed.errand.as_ref().map_or("unknown", Errand::kind);
        let outcome = match &claimed.errand {
            None => Err(Failed::Never("this program does not know it".to_owned())),
            Some(errand) => match tokio::time::timeout(LIMIT, perform(broker, &claimed, errand)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failed::Later(format!("it took longer than {} s", LIMIT.as_secs()))),
            },
        };
        let is_old = broker.clock.now() - claimed.created_at >= GIVEN_UP;
        let written = match outcome {
            Ok(()) => {
                counts.count(kind, "done");
                finish(broker, claimed.id).await
            }
            Err(Failed::Later(error)) if !is_old => {
                counts.count(kind, "failed");
                tracing::warn!(errand = %claimed.id, kind, attempt = claimed.attempts, error, "an errand failed");
                postpone(broker, &claimed, &error).await
            }
            Err(Failed::Later(error) | Failed::Never(error)) => {
                counts.count(kind, "given_up");
                tracing::error!(errand = %claimed.id, kind, attempts = claimed.attempts, error, "an errand is given up");
                finish(broker, claimed.id).await
            }
        };
        if let Err(error) = written {
            // It is due again when its lease has ended.
            tracing::warn!(errand = %claimed.id, %error, "what became of an errand cannot be written down");
        }
    };
    request::within(context.clone(), work).await;
}

async fn perform(broker: &Broker, claimed: &Claimed, errand: &Errand) -> Result<(), Failed> {
    match errand {
        Errand::Mail { to, letter, values } => {
            let site = broker.public_url.host_str().unwrap_or_default();
            let occasion = Occasion { id: claimed.id, at: claimed.created_at, site, values };
            let mail =
                mail::write(to, letter, &occasion).map_err(|error| Failed::Never(error.to_string()))?;
            let Some(mailer) = &broker.mailer else {
                tracing::info!(letter, "nobody is told: no mail server is configured (SMTP_URL, MAIL_FROM)");
                return Ok(());
            };
            mailer.send(&mail).await.map_err(|error| match error.is_final() {
                true => Failed::Never(error.to_string()),
                false => Failed::Later(error.to_string()),
            })
        }
        Errand::BackChannelLogout { client_id, account, session } => {
            let told = back_channel::send(broker, client_id, *account, *session).await;
            told.map_err(|error| Failed::Later(error.to_string()))
        }
    }
}

async fn finish(broker: &Broker, id: Uuid) -> Result<(), DatabaseError> {
    broker
        .database
        .ask(async |client| {
            let statement = client.prepare_cached(DONE).await?;
            client.execute(&statement, &[&id]).await.map(drop)
        })
        .await
}

async fn postpone(broker: &Broker, claimed: &Claimed, error: &str) -> Result<(), DatabaseError> {
    let attempts = u32::try_from(claimed.attempts).unwrap_or(1);
    let due_at = broker.clock.now() + BACKOFF.wait(attempts, &*broker.randomness);
    let reason: String = error.chars().take(REASON).collect();
    broker
        .database
        .ask(async |client| {
            let statement = client.prepare_cached(AGAIN).await?;
            client.execute(&statement, &[&claimed.id, &due_at, &reason]).await.map(drop)
        })
        .await
}
