//! Removes what has ended, a batch at a time. Several processes sweep side by side: none waits for what another removes.

use std::time::Duration;

use foundation::database::DatabaseError;
use time::OffsetDateTime;

use crate::state::Broker;

/// How often.
const EVERY: Duration = Duration::from_secs(60);
/// By one statement: none may hold up others, or take longer than a statement may.
const BATCH: i64 = 1_000;
/// Batches of one kind in a turn. What is left is the next one's.
const TURN: u32 = 200;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// One kind of what ends.
struct Sweep {
    /// What it is called in the log.
    name: &'static str,
    /// Removes those that ended before `$1`, and `$2` at most.
    sql: &'static str,
    /// How long they are kept after their end.
    kept: Duration,
}

macro_rules! expired {
    ($table:literal, $key:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE (",
            $key,
            ") IN (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
        )
    };
}

/// In order: what others hang on comes after them.
const SWEEPS: [Sweep; 10] = [
    // A code that is used again ends its grant, as long as it is known.
    Sweep { name: "codes", sql: expired!("codes", "hash"), kept: HOUR },
    Sweep { name: "tokens", sql: expired!("issued_tokens", "hash"), kept: Duration::ZERO },
    Sweep { name: "assertions", sql: expired!("used_assertions", "issuer, hash"), kept: Duration::ZERO },
    Sweep { name: "recoveries", sql: expired!("recoveries", "secret_hash"), kept: DAY },
    Sweep { name: "names", sql: expired!("told_names", "provider, subject"), kept: Duration::ZERO },
    // A session that ended by itself ends what was given out in it, as one that was ended does.
    Sweep {
        name: "sessions",
        sql: "WITH ended AS (SELECT id FROM browser_sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 \
              FOR UPDATE SKIP LOCKED), \
              grants_ended AS (UPDATE grants SET ended_at = $1, ended_because = 'expired' \
              WHERE session_id IN (SELECT id FROM ended) AND ended_at IS NULL \
              AND NOT 'offline_access' = ANY(string_to_array(scope, ' '))) \
              DELETE FROM browser_sessions WHERE id IN (SELECT id FROM ended)",
        kept: Duration::ZERO,
    },
    // As long as its session lasts, it says which clients are to be told of the session's end.
    Sweep {
        name: "grants",
        sql: "DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE ended_at <= $1 AND session_id IS NULL \
              ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        kept: DAY,
    },
    // What has no session and nothing that was given out can do nothing any more.
    Sweep {
        name: "grants without anything",
        sql: "DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE session_id IS NULL AND created_at <= $1 \
              AND NOT EXISTS (SELECT FROM issued_tokens WHERE grant_id = grants.id) \
              AND NOT EXISTS (SELECT FROM codes WHERE grant_id = grants.id) LIMIT $2 FOR UPDATE SKIP LOCKED)",
        kept: DAY,
    },
    // Who runs errands gives them up long before.
    Sweep {
        name: "errands",
        sql: "DELETE FROM errands WHERE id IN (SELECT id FROM errands WHERE created_at <= $1 LIMIT $2 \
              FOR UPDATE SKIP LOCKED)",
        kept: Duration::from_secs(7 * 86_400),
    },
    // Until then ID tokens come back as hints.
    Sweep {
        name: "signing keys",
        sql: "DELETE FROM signing_keys WHERE id IN (SELECT id FROM signing_keys WHERE published_until <= $1 LIMIT $2 \
              FOR UPDATE SKIP LOCKED)",
        kept: Duration::from_secs(90 * 86_400),
    },
];

/// Sweeps every now and then. Never ends.
pub async fn keep(broker: &Broker) {
    loop {
        sweep(broker).await;
        tokio::time::sleep(EVERY).await;
    }
}

/// Sweeps once.
pub async fn sweep(broker: &Broker) {
    for sweep in &SWEEPS {
        match run(broker, sweep, broker.clock.now()).await {
            Ok(0) => {}
            Ok(removed) => tracing::debug!(removed, kind = sweep.name, "swept what has ended"),
            Err(error) => {
                tracing::warn!(%error, kind = sweep.name, "what has ended could not be swept");
                break;
            }
        }
    }
}

async fn run(broker: &Broker, sweep: &Sweep, now: OffsetDateTime) -> Result<u64, DatabaseError> {
    let before = now - sweep.kept;
    let mut removed = 0;
    for _ in 0..TURN {
        let batch = broker
            .database
            .ask(async |client| {
                client.execute(&client.prepare_cached(sweep.sql).await?, &[&before, &BATCH]).await
            })
            .await?;
        removed += batch;
        if batch < BATCH.unsigned_abs() {
            break;
        }
    }
    Ok(removed)
}
