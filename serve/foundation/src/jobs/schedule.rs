//! Jobs that come by the clock: each moment makes one job, however many processes there are.

use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;

use super::worker::Shared;
use crate::clock::new_id;
use crate::database::DatabaseError;

/// The process that moves the schedule on to this moment also writes the job, in the same statement. While the job of
/// an earlier moment is unfinished, none is written.
const FIRE: &str = "\
    WITH moved AS (\
        INSERT INTO schedules (name, last_slot) VALUES ($1, $2) \
        ON CONFLICT (name) DO UPDATE SET last_slot = excluded.last_slot \
            WHERE schedules.last_slot < excluded.last_slot \
        RETURNING name) \
    INSERT INTO jobs (id, queue, kind, payload, unique_key, run_at, feed_at, max_attempts) \
    SELECT $3, $4, $5, $6, 'schedule:' || name, now(), now(), $7 FROM moved \
    ON CONFLICT (kind, unique_key) WHERE feed_at IS NOT NULL DO NOTHING";

const MAX_ATTEMPTS: i32 = 5;

/// Makes a job again and again. After a pause of all processes it makes one, not one for each moment missed.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its name, the same in all processes.
    pub name: &'static str,
    /// The kind of its jobs.
    pub kind: &'static str,
    /// How far its moments are apart, at least a second.
    pub every: Duration,
    /// How long after the moments that 1970-01-01T00:00Z counts from: three hours with `every` of a day is 03:00 UTC.
    pub offset: Duration,
    /// What its jobs carry.
    pub payload: Value,
}

impl Schedule {
    /// The last moment that is not after `now`.
    fn slot(&self, now: OffsetDateTime) -> OffsetDateTime {
        let every = i64::try_from(self.every.as_secs().max(1)).unwrap_or(i64::MAX);
        let offset = i64::try_from(self.offset.as_secs()).unwrap_or(0);
        let since = (now.unix_timestamp() - offset).rem_euclid(every);
        OffsetDateTime::from_unix_timestamp(now.unix_timestamp() - since).unwrap_or(now)
    }
}

/// Makes jobs by the clock until dropped.
pub(super) async fn keep(shared: &Shared) {
    let mut last: Vec<Option<OffsetDateTime>> = vec![None; shared.schedules.len()];
    loop {
        for (schedule, last) in shared.schedules.iter().zip(&mut last) {
            let slot = schedule.slot(shared.clock.now());
            if *last == Some(slot) {
                continue;
            }
            match fire(shared, schedule, slot).await {
                Ok(written) => {
                    *last = Some(slot);
                    if written {
                        shared.queue.wake();
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, schedule = schedule.name, "a scheduled job could not be written; trying again");
                }
            }
        }
        tokio::time::sleep(shared.settings.poll).await;
    }
}

async fn fire(shared: &Shared, schedule: &Schedule, slot: OffsetDateTime) -> Result<bool, DatabaseError> {
    let id = new_id(&*shared.clock, &*shared.randomness);
    shared
        .database
        .ask(async |client| {
            let statement = client.prepare_cached(FIRE).await?;
            let written = client
                .execute(
                    &statement,
                    &[
                        &schedule.name,
                        &slot,
                        &id,
                        &shared.settings.queue,
                        &schedule.kind,
                        &schedule.payload,
                        &MAX_ATTEMPTS,
                    ],
                )
                .await?;
            Ok(written == 1)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_the_same_everywhere() {
        let daily = Schedule {
            name: "daily",
            kind: "sweep",
            every: Duration::from_secs(86_400),
            offset: Duration::from_secs(3 * 3600),
            payload: Value::Null,
        };
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let day = 20_000 * 86_400;
        assert_eq!(daily.slot(at(day + 3 * 3600)), at(day + 3 * 3600));
        assert_eq!(daily.slot(at(day + 3 * 3600 - 1)), at(day - 21 * 3600));
        assert_eq!(daily.slot(at(day + 23 * 3600)), at(day + 3 * 3600));
    }
}
