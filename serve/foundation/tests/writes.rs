//! One transaction a write, against real PostgreSQL through PgBouncer with two server connections.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use foundation::audit::{self, Event, Origin};
use foundation::clock::SystemRandomness;
use foundation::clock::testing::FixedClock;
use foundation::database::Database;
use foundation::migrate::Migration;
use foundation::problem::{self, Problem, codes};
use foundation::seal::KeyRing;
use foundation::testing::servers::{Server, Servers, wait_until};
use foundation::write::idempotency::{self, Answer, Key};
use foundation::write::sweep::Sweeper;
use foundation::write::{Ask, Begun, Unit, Writes};
use time::OffsetDateTime;
use uuid::Uuid;

const EFFECTS: &str = "CREATE TABLE effects (id uuid PRIMARY KEY, note text NOT NULL);\n-- grants\n\
     GRANT SELECT, INSERT ON effects TO :serving_role;\n";
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "effects", sql: EFFECTS },
    Migration { version: 2, name: "audit", sql: audit::MIGRATION },
    Migration { version: 3, name: "idempotency", sql: idempotency::MIGRATION },
];
/// What an answer shows once.
const SECRET: &str = "hunter2-hunter2";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Real servers, and writes to them.
struct Stage {
    servers: Servers,
    clock: Arc<FixedClock>,
    database: Database,
    writes: Writes,
    origin: Origin,
}

impl Stage {
    async fn new() -> Self {
        let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
        let servers = Servers::start();
        servers.migrate(MIGRATIONS).await;
        let clock = Arc::new(FixedClock::at(OffsetDateTime::UNIX_EPOCH + 20_000 * DAY));
        let database =
            Database::new(&servers.database_as("app", Server::PgBouncer), &servers.private_ca()).unwrap();
        let writes = Writes::new(database.clone(), Arc::clone(&clock) as _, Arc::new(SystemRandomness), DAY);
        let keys = KeyRing::parse(&format!("1:{}=", "A".repeat(43))).unwrap();
        let writes = writes.sealing(Arc::new(keys));
        let origin = Origin {
            actor_kind: "agent",
            actor_id: Some(Uuid::from_u128(7)),
            token_id: Some(Uuid::from_u128(8)),
            organization: Some(Uuid::from_u128(9)),
            address: Some([192, 0, 2, 1].into()),
            user_agent: Some("test".to_owned()),
            request_id: "request-1".to_owned(),
        };
        Self { servers, clock, database, writes, origin }
    }

    async fn write(&self, key: Option<&str>, payload: &str) -> Got {
        let key = key.map(key_of);
        let ask = Ask {
            origin: &self.origin,
            route: "POST /effects",
            payload: payload.as_bytes(),
            works_in: None,
            key: key.as_ref(),
        };
        let outcome = match self.writes.begin(ask).await {
            Ok(Begun::Answered(response)) => Ok(response),
            Ok(Begun::New(mut unit)) => {
                let outcome = effect(&mut unit, payload).await;
                unit.end(outcome).await
            }
            Err(problem) => Err(problem),
        };
        Got::of(outcome.unwrap_or_else(IntoResponse::into_response)).await
    }

    /// Asks until there is an answer that is final, as a client does.
    async fn insist(&self, key: &str, payload: &str) -> Got {
        loop {
            let got = self.write(Some(key), payload).await;
            if got.status != StatusCode::CONFLICT && got.status != StatusCode::SERVICE_UNAVAILABLE {
                return got;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Begins a write without a key.
    async fn begin(&self, origin: &Origin) -> Box<Unit> {
        let ask = Ask { origin, route: "POST /", payload: b"", works_in: None, key: None };
        match self.writes.begin(ask).await.unwrap() {
            Begun::New(unit) => unit,
            Begun::Answered(response) => panic!("{response:?}"),
        }
    }

    fn count(&self, table: &str) -> String {
        self.servers.sql(&format!("SELECT count(*) FROM {table}"), "app")
    }
}

/// Writes a row; a payload may ask for a problem afterwards.
async fn effect(unit: &mut Unit, payload: &str) -> Result<Answer, Problem> {
    let id = unit.new_id();
    unit.transaction.later(
        "INSERT INTO effects (id, note) VALUES ($1, $2)",
        vec![Box::new(id), Box::new(payload.to_owned())],
    );
    unit.audit(Event::new("effect.create", "effect").of(id).changed("note", (), payload));
    match payload {
        "refuse" => Err(Problem::new(&codes::NOT_FOUND).detail("refused")),
        "break" => Err(Problem::new(&codes::INTERNAL)),
        "secret" => Ok(Answer::json(StatusCode::CREATED, &serde_json::json!({"secret": SECRET}))?.secret()),
        _ => Answer::json(StatusCode::CREATED, &serde_json::json!({"id": id})),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    status: StatusCode,
    body: Vec<u8>,
    replayed: bool,
    /// The kind of problem, by which answers are counted and logged.
    kind: Option<&'static str>,
}

impl Got {
    async fn of(response: Response) -> Self {
        let kind = problem::kind(&response).map(|code| code.code);
        let (parts, body) = response.into_parts();
        let replayed = parts.headers.contains_key("idempotency-replayed");
        Self {
            status: parts.status,
            body: axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec(),
            replayed,
            kind,
        }
    }
}

fn key_of(text: &str) -> Key {
    let headers = HeaderMap::from_iter([(idempotency::HEADER, HeaderValue::from_str(text).unwrap())]);
    Key::read(&headers).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn many_at_once_with_one_key_are_one_write_with_one_answer() {
    let stage = Arc::new(Stage::new().await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let stage = Arc::clone(&stage);
        tasks.spawn(async move { stage.insist("one", "note").await });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|got| got.status == StatusCode::CREATED && got.body == answers[0].body));
    assert_eq!(answers.iter().filter(|got| !got.replayed).count(), 1, "one did it, the others were told");
    for table in ["effects", "audit_events", "idempotency_keys"] {
        assert_eq!(stage.count(table), "1", "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_key_belongs_to_its_payload_until_it_expires() {
    let stage = Stage::new().await;
    let first = stage.write(Some("k"), "note").await;
    let again = stage.write(Some("k"), "note").await;
    assert_eq!((again.status, &again.body, again.replayed), (first.status, &first.body, true));
    let other = stage.write(Some("k"), "another").await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(stage.count("effects"), "1");

    stage.clock.advance(DAY);
    let fresh = stage.write(Some("k"), "another").await;
    assert_eq!((fresh.status, fresh.replayed), (StatusCode::CREATED, false));
    assert_eq!(stage.write(Some("k"), "another").await.body, fresh.body);
    // Without a key every request is a write.
    stage.write(None, "note").await;
    stage.write(None, "note").await;
    assert_eq!(stage.count("effects"), "4");
    assert_eq!(stage.count("audit_events"), "4");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_callers_mistakes_are_kept_and_the_servers_are_not() {
    let stage = Stage::new().await;
    let refused = stage.write(Some("r"), "refuse").await;
    let again = stage.write(Some("r"), "refuse").await;
    assert_eq!((refused.status, refused.replayed), (StatusCode::NOT_FOUND, false));
    assert_eq!((again.status, &again.body, again.replayed), (StatusCode::NOT_FOUND, &refused.body, true));
    assert_eq!((refused.kind, again.kind), (Some("not-found"), Some("not-found")));
    for _ in 0..2 {
        let broken = stage.write(Some("b"), "break").await;
        assert_eq!((broken.status, broken.replayed), (StatusCode::INTERNAL_SERVER_ERROR, false));
    }
    assert_eq!(stage.count("effects"), "0", "a problem undoes the effect");
    assert_eq!(stage.count("audit_events"), "0", "and what was said of it");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_answer_with_a_secret_is_given_again_and_kept_in_the_clear_nowhere() {
    let stage = Stage::new().await;
    let first = stage.write(Some("s"), "secret").await;
    assert!(String::from_utf8_lossy(&first.body).contains(SECRET));
    let again = stage.write(Some("s"), "secret").await;
    assert_eq!((again.status, &again.body, again.replayed), (StatusCode::CREATED, &first.body, true));
    let kept = "encode(body, 'escape') || coalesce(sealed_by, '') || headers::text";
    let kept = stage.servers.sql(&format!("SELECT {kept} FROM idempotency_keys"), "app");
    assert!(!kept.contains("hunter2"), "{kept}");

    // Put under another caller's key it does not open.
    stage.servers.sql("UPDATE idempotency_keys SET key = 'other'", "app");
    assert_eq!(stage.write(Some("other"), "secret").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    // Nothing is written that could not be kept.
    let writes =
        Writes::new(stage.database.clone(), Arc::clone(&stage.clock) as _, Arc::new(SystemRandomness), DAY);
    let key = key_of("unsealed");
    let ask = Ask {
        origin: &stage.origin,
        route: "POST /effects",
        payload: b"secret",
        works_in: None,
        key: Some(&key),
    };
    let Begun::New(mut unit) = writes.begin(ask).await.unwrap() else { panic!("the key is new") };
    let outcome = effect(&mut unit, "secret").await;
    assert_eq!(unit.end(outcome).await.unwrap_err().code(), &codes::INTERNAL);
    assert_eq!(stage.count("effects"), "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_has_expired_is_swept_and_nothing_else() {
    let stage = Stage::new().await;
    for number in 0..3 {
        stage.write(Some(&format!("old{number}")), "note").await;
    }
    stage.clock.advance(DAY / 2);
    stage.write(Some("young"), "note").await;
    stage.clock.advance(DAY / 2);
    let sweeper = Sweeper::new(stage.database.clone(), Arc::clone(&stage.clock) as _);
    assert_eq!(sweeper.sweep().await.unwrap(), 3);
    assert_eq!(stage.servers.sql("SELECT string_agg(key, ',') FROM idempotency_keys", "app"), "young");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn sessions_that_die_lose_nothing_and_double_nothing() {
    const WRITES: u64 = 2_000;
    let stage = Arc::new(Stage::new().await);
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (stage, next) = (Arc::clone(&stage), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= WRITES {
                    return;
                }
                let got = stage.insist(&format!("k{number}"), &number.to_string()).await;
                assert_eq!(got.status, StatusCode::CREATED, "{}", String::from_utf8_lossy(&got.body));
            }
        });
    }
    let mut killed = 0;
    while next.load(Ordering::Relaxed) < WRITES {
        let sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'app'";
        killed += stage.servers.sql(sessions, "postgres").parse::<u64>().unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tasks.join_all().await;
    assert!(killed > 0, "nothing died");
    for table in ["effects", "audit_events", "idempotency_keys"] {
        assert_eq!(stage.count(table), WRITES.to_string(), "{table}, after {killed} sessions died");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_write_whose_client_leaves_is_rolled_back_and_its_connection_serves_on() {
    let stage = Stage::new().await;
    let unit = stage.begin(&stage.origin).await;
    unit.transaction.query("INSERT INTO effects VALUES ($1, 'left')", &[&unit.new_id()]).await.unwrap();
    drop(unit);
    let open =
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state LIKE 'idle in transaction%'";
    wait_until("the abandoned transaction to be rolled back", || stage.servers.sql(open, "postgres") == "0");
    assert_eq!(stage.write(None, "note").await.status, StatusCode::CREATED);
    assert_eq!(stage.count("effects"), "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_was_audited_stays_as_it_was() {
    let stage = Stage::new().await;
    stage.write(None, "note").await;
    let shown = stage.servers.sql(
        "SELECT organization_id, actor_kind, address, request_id, action, result, changes FROM audit_events",
        "app",
    );
    assert!(
        shown.ends_with(r#"|agent|192.0.2.1|request-1|effect.create|success|{"note": [null, "note"]}"#),
        "{shown}"
    );
    for change in ["UPDATE audit_events SET action = ''", "DELETE FROM audit_events", "TRUNCATE audit_events"]
    {
        let unit = stage.begin(&stage.origin).await;
        let tried = unit.transaction.query(change, &[]).await.unwrap_err();
        assert!(format!("{tried:?}").contains("permission denied"), "{change}: {tried:?}");
    }
    // Another organization's events are not there.
    let other = Origin { organization: Some(Uuid::from_u128(1)), ..stage.origin.clone() };
    for (origin, seen) in [(&stage.origin, 1), (&other, 0)] {
        let unit = stage.begin(origin).await;
        let rows = unit.transaction.query("SELECT id FROM audit_events", &[]).await.unwrap();
        assert_eq!(rows.len(), seen);
    }
}
