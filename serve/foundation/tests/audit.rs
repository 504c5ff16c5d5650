//! The audit log against real PostgreSQL through PgBouncer: sealed behind the writers, and every tampering named.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use foundation::audit::chain::{Batch, Head};
use foundation::audit::seal::{Sealed, Sealer};
use foundation::audit::verify::{Broken, Extent, Flaw, Verification, verify};
use foundation::audit::{self, Event, Origin, Outcome};
use foundation::clock::{SystemClock, SystemRandomness};
use foundation::database::Database;
use foundation::migrate::Migration;
use foundation::testing::servers::{Server, Servers};
use foundation::write::idempotency::{self, Answer};
use foundation::write::transaction::Transaction;
use foundation::write::{Ask, Begun, Writes};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "audit", sql: audit::MIGRATION },
    Migration { version: 2, name: "idempotency", sql: idempotency::MIGRATION },
];
const ORGANIZATION: Uuid = Uuid::from_u128(9);
const OTHER: Uuid = Uuid::from_u128(10);

struct Stage {
    servers: Servers,
    database: Database,
    writes: Writes,
    sealer: Sealer,
}

impl Stage {
    async fn new() -> Self {
        let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
        let servers = Servers::start();
        servers.migrate(MIGRATIONS).await;
        let pooled = servers.database_as("app", Server::PgBouncer);
        let database = Database::new(&pooled, &servers.private_ca()).unwrap();
        let (clock, day) = (Arc::new(SystemClock), Duration::from_secs(86_400));
        let writes = Writes::new(database.clone(), clock.clone(), Arc::new(SystemRandomness), day);
        let sealer = Sealer::new(database.clone(), clock);
        Self { servers, database, writes, sealer }
    }

    /// One write with as many events.
    async fn write(&self, organization: Uuid, events: usize) {
        let origin = origin(organization);
        let ask = Ask { origin: &origin, route: "POST /", payload: b"", works_in: None, key: None };
        let Begun::New(mut unit) = self.writes.begin(ask).await.unwrap() else { panic!("there is no key") };
        for number in 0..events {
            unit.audit(Event::new("task.create", "task").of(number).changed("title", (), "=1+1"));
        }
        let _response = unit.end(Answer::json(axum::http::StatusCode::CREATED, &json!({}))).await.unwrap();
    }

    /// Three batches of two events each.
    async fn three_batches(&self, organization: Uuid) {
        for _ in 0..3 {
            self.write(organization, 2).await;
            self.seal_to_the_end(organization).await;
        }
    }

    /// Seals until nothing is left; the transactions before have all ended.
    async fn seal_to_the_end(&self, organization: Uuid) {
        loop {
            let found = self.verify_of(organization).await;
            assert!(found.intact, "{found:?}");
            if found.unsealed == Some(0) {
                return;
            }
            self.sealer.seal(organization).await.unwrap();
        }
    }

    /// Verifies with few reads at a time, as long as there is more; how often, and how many events.
    async fn verify_by_pieces(&self, organization: Uuid, reads: u32) -> (usize, i64, Verification) {
        let (mut pieces, mut events, mut after) = (0, 0, None::<Head>);
        loop {
            let extent = Extent { after: after.as_ref(), reads: Some(reads), known: None };
            let found = verify(&self.database, organization, "request-1", extent).await.unwrap();
            (pieces, events) = (pieces + 1, events + found.events);
            if found.complete || !found.intact {
                return (pieces, events, found);
            }
            assert_eq!(found.unsealed, None);
            after = found.head;
        }
    }

    async fn verify_of(&self, organization: Uuid) -> Verification {
        verify(&self.database, organization, "request-1", Extent::default()).await.unwrap()
    }

    async fn verify_against(&self, known: &Head) -> Verification {
        verify(&self.database, ORGANIZATION, "request-1", Extent { known: Some(known), ..Extent::default() })
            .await
            .unwrap()
    }

    fn sql(&self, statement: &str) -> String {
        self.servers.sql(statement, "app")
    }

    /// Writes for so long with several writers; how many writes it were.
    async fn load(&self, duration: Duration) -> usize {
        let (started, writers) = (Instant::now(), 8);
        let done = futures_util::future::join_all((0..writers).map(|_| async {
            let mut done = 0;
            while started.elapsed() < duration {
                self.write(ORGANIZATION, 1).await;
                done += 1;
            }
            done
        }));
        done.await.into_iter().sum()
    }
}

fn of_hexadecimal(text: &str) -> [u8; 32] {
    std::array::from_fn(|byte| u8::from_str_radix(&text[2 * byte..2 * byte + 2], 16).unwrap())
}

fn origin(organization: Uuid) -> Origin {
    Origin {
        actor_kind: "agent",
        actor_id: Some(Uuid::from_u128(7)),
        token_id: Some(Uuid::from_u128(8)),
        organization: Some(organization),
        address: Some([192, 0, 2, 1].into()),
        user_agent: Some("test".to_owned()),
        request_id: "request-1".to_owned(),
    }
}

#[tokio::test]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn writers_and_two_sealers_make_one_chain_with_every_event() {
    let stage = Stage::new().await;
    let writing = AtomicBool::new(true);
    let seal = async || {
        while writing.load(Ordering::Relaxed) {
            stage.sealer.seal(ORGANIZATION).await.unwrap();
        }
    };
    let write = async {
        let done = stage.load(Duration::from_secs(4)).await;
        writing.store(false, Ordering::Relaxed);
        done
    };
    let (written, (), ()) = tokio::join!(write, seal(), seal());
    stage.seal_to_the_end(ORGANIZATION).await;
    let found = stage.verify_of(ORGANIZATION).await;
    assert!(found.intact, "{found:?}");
    assert_eq!((usize::try_from(found.events).unwrap(), found.unsealed), (written, Some(0)));
    let head = found.head.unwrap();
    assert!(head.number > 10, "sealing went on beside the writers: {head:?}");
    assert_eq!(
        stage.sql("SELECT sum(events), count(*) FROM audit_batches"),
        format!("{written}|{}", head.number)
    );
}

#[tokio::test]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_open_transaction_keeps_its_place_before_the_seal() {
    let stage = Stage::new().await;
    let origin = origin(ORGANIZATION);
    let ask = Ask { origin: &origin, route: "POST /", payload: b"", works_in: None, key: None };
    let Begun::New(open) = stage.writes.begin(ask).await.unwrap() else { panic!("there is no key") };
    // It has its number now, and writes its event after others of higher numbers.
    open.transaction.query("SELECT pg_current_xact_id()::text", &[]).await.unwrap();
    stage.write(ORGANIZATION, 1).await;
    assert_eq!(stage.sealer.seal_all().await.unwrap().events, 0);
    assert_eq!(stage.sealer.seal(ORGANIZATION).await.unwrap(), None);
    assert_eq!(stage.verify_of(ORGANIZATION).await.unsealed, Some(1));
    let mut open = open;
    open.audit(Event::new("task.late", "task").outcome(Outcome::Success));
    let _response = open.end(Answer::json(axum::http::StatusCode::CREATED, &json!({}))).await.unwrap();
    for organization in [OTHER, Uuid::from_u128(1), Uuid::max()] {
        stage.write(organization, 1).await;
    }
    assert_eq!(stage.sealer.seal_all().await.unwrap(), Sealed { batches: 4, events: 5 });
    for organization in [ORGANIZATION, OTHER, Uuid::from_u128(1), Uuid::max()] {
        let found = stage.verify_of(organization).await;
        assert_eq!((found.intact, found.unsealed), (true, Some(0)), "{organization}");
    }
}

#[tokio::test]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn every_tampering_is_named() {
    let stage = Stage::new().await;
    let second =
        "(SELECT id FROM audit_events WHERE organization_id = $o ORDER BY position, id OFFSET 2 LIMIT 1)";
    let copy = "INSERT INTO audit_events SELECT gen_random_uuid(), organization_id, position, occurred_at, actor_kind, \
         actor_id, token_id, address, user_agent, request_id, action, resource_kind, resource_id, result, changes \
         FROM audit_events WHERE id = ";
    let cases = [
        (format!("UPDATE audit_events SET action = 'x' WHERE id = {second}"), 2, Flaw::EventChanged),
        (
            format!("UPDATE audit_events SET changes = '{{\"a\": 1}}' WHERE id = {second}"),
            2,
            Flaw::EventChanged,
        ),
        (format!("UPDATE audit_events SET user_agent = NULL WHERE id = {second}"), 2, Flaw::EventChanged),
        (format!("DELETE FROM audit_events WHERE id = {second}"), 2, Flaw::EventMissing),
        (format!("{copy}{second}"), 2, Flaw::EventAdded),
        (
            "DELETE FROM audit_batches WHERE number = 2 AND organization_id = $o".to_owned(),
            2,
            Flaw::BatchMissing,
        ),
        (
            "DELETE FROM audit_batches WHERE number = 1 AND organization_id = $o".to_owned(),
            1,
            Flaw::BatchMissing,
        ),
        (
            "UPDATE audit_batches SET events = 1 WHERE number = 2 AND organization_id = $o".to_owned(),
            2,
            Flaw::BatchChanged,
        ),
        (
            "UPDATE audit_batches SET sealed_at = now() WHERE number = 2 AND organization_id = $o".to_owned(),
            2,
            Flaw::BatchChanged,
        ),
    ];
    for (index, (tampering, batch, flaw)) in cases.into_iter().enumerate() {
        let organization = Uuid::from_u128(100 + index as u128);
        stage.three_batches(organization).await;
        assert!(stage.verify_of(organization).await.intact);
        stage.sql(&tampering.replace("$o", &format!("'{organization}'")));
        let found = stage.verify_of(organization).await;
        assert_eq!(found.broken, Some(Broken { batch, flaw }), "{tampering}");
        assert_eq!((found.intact, found.head.map_or(0, |head| head.number)), (false, batch - 1));
    }
}

#[tokio::test]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_long_chain_is_verified_by_pieces_and_small_batches_together() {
    let stage = Stage::new().await;
    for _ in 0..2 {
        stage.three_batches(ORGANIZATION).await;
    }
    let whole = stage.verify_of(ORGANIZATION).await;
    assert_eq!((whole.intact, whole.complete, whole.events), (true, true, 12));
    // One read of batches and one of events see them all; the next piece sees that nothing follows.
    let (pieces, events, found) = stage.verify_by_pieces(ORGANIZATION, 1).await;
    assert_eq!((pieces, events, &found.head, found.unsealed), (7, 12, &whole.head, Some(0)));
    assert_eq!(stage.verify_by_pieces(ORGANIZATION, 3).await, (1, 12, whole.clone()));

    // What a piece builds on must be there as it was.
    let second = "(SELECT id FROM audit_events ORDER BY position, id OFFSET 6 LIMIT 1)";
    stage.sql(&format!("UPDATE audit_events SET action = 'x' WHERE id = {second}"));
    let (_, _, found) = stage.verify_by_pieces(ORGANIZATION, 1).await;
    assert_eq!(found.broken, Some(Broken { batch: 4, flaw: Flaw::EventChanged }));
    let head = whole.head.unwrap();
    let other = Head { number: head.number, hash: "0".repeat(64) };
    for after in [other, Head { number: 7, ..head.clone() }] {
        let extent = Extent { after: Some(&after), ..Extent::default() };
        let found = verify(&stage.database, ORGANIZATION, "request-1", extent).await.unwrap();
        assert_eq!(found.broken, Some(Broken { batch: after.number, flaw: Flaw::HeadLost }));
        assert_eq!(found.head, None);
    }
    let extent = Extent { after: Some(&head), known: Some(&head), ..Extent::default() };
    assert!(verify(&stage.database, ORGANIZATION, "request-1", extent).await.unwrap().intact);
}

#[tokio::test]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_head_kept_elsewhere_shows_a_new_end() {
    let stage = Stage::new().await;
    stage.three_batches(ORGANIZATION).await;
    let known = stage.verify_of(ORGANIZATION).await.head.unwrap();
    assert!(stage.verify_against(&known).await.intact);
    stage.sql("DELETE FROM audit_batches WHERE number = 3");
    let lost = Some(Broken { batch: 3, flaw: Flaw::HeadLost });
    assert!(stage.verify_of(ORGANIZATION).await.intact);
    assert_eq!(stage.verify_against(&known).await.broken, lost);
    // Sealed anew over other events, the chain is whole and another one.
    stage.sql("UPDATE audit_events SET action = 'x' WHERE position > (SELECT max(last_position::text::bigint)::text::xid8 FROM audit_batches)");
    stage.seal_to_the_end(ORGANIZATION).await;
    assert!(stage.verify_of(ORGANIZATION).await.intact);
    assert_eq!(stage.verify_against(&known).await.broken, lost);
    // A batch that is whole in itself and continues another history.
    let (number, hash) = (2_i64, [7; 32]);
    let row =
        |columns: &str| stage.sql(&format!("SELECT {columns} FROM audit_batches WHERE number = {number}"));
    let mut batch = Batch {
        number,
        version: 1,
        last_position: row("last_position").parse().unwrap(),
        events: row("events").parse().unwrap(),
        root: of_hexadecimal(&row("encode(root, 'hex')")),
        previous: hash,
        hash,
        sealed_at: OffsetDateTime::UNIX_EPOCH,
    };
    batch.hash = batch.compute_hash(ORGANIZATION);
    let (previous, hash) = ("07".repeat(32), batch.head().hash);
    stage.sql(&format!(
        "UPDATE audit_batches SET previous = '\\x{previous}', hash = '\\x{hash}', sealed_at = 'epoch' WHERE number = 2"
    ));
    let broken = stage.verify_of(ORGANIZATION).await.broken;
    assert_eq!(broken, Some(Broken { batch: 2, flaw: Flaw::LinkBroken }));
}

#[tokio::test]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_serving_role_only_appends_and_sees_its_organization() {
    let stage = Stage::new().await;
    stage.three_batches(ORGANIZATION).await;
    stage.write(OTHER, 1).await;
    for statement in [
        "UPDATE audit_events SET action = ''",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE audit_batches SET events = 1",
        "DELETE FROM audit_batches",
        "TRUNCATE audit_batches",
        "INSERT INTO audit_events (id, organization_id, position, occurred_at, actor_kind, request_id, action, resource_kind, \
         result, changes) VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000009', '1', now(), 'x', 'x', 'x', \
         'x', 'success', '{}')",
    ] {
        let (transaction, _) =
            Transaction::begin(&stage.database, Some(ORGANIZATION), "r", None).await.unwrap();
        let tried = transaction.query(statement, &[]).await.unwrap_err();
        assert!(format!("{tried:?}").contains("permission denied"), "{statement}: {tried:?}");
    }
    for (organization, seen) in [(ORGANIZATION, (6, 3)), (OTHER, (1, 0)), (Uuid::from_u128(1), (0, 0))] {
        let count = "SELECT (SELECT count(*) FROM audit_events), (SELECT count(*) FROM audit_batches)";
        let rows = Transaction::read(&stage.database, Some(organization), "r", count, &[]).await.unwrap();
        assert_eq!((rows[0].get::<_, i64>(0), rows[0].get::<_, i64>(1)), seen);
    }
}
