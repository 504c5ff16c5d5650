//! A resource over HTTP as an application writes one: by `WriteRequest` and `Writes::perform`, read in one round trip.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use foundation::audit::{self, Event};
use foundation::auth::actor::{Actor, Agent};
use foundation::auth::delegation::Grant;
use foundation::auth::scope::{Scope, Scopes};
use foundation::border::{self, Border, Limits};
use foundation::clock::{SystemClock, SystemRandomness};
use foundation::database::Database;
use foundation::migrate::Migration;
use foundation::problem::{Problem, codes};
use foundation::request::{Contexts, Edges, RequestContext};
use foundation::telemetry::{Metrics, Scrubber};
use foundation::testing::servers::{Server, Servers};
use foundation::write::idempotency::{self, Answer};
use foundation::write::transaction::Transaction;
use foundation::write::{Unit, WriteRequest, Writes};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

const NOTES: &str = "CREATE TABLE notes (id uuid PRIMARY KEY, organization_id uuid NOT NULL, text text NOT NULL);\n\
     ALTER TABLE notes ENABLE ROW LEVEL SECURITY;\n\
     CREATE POLICY notes_of_the_organization ON notes USING \
     (organization_id = NULLIF(current_setting('app.organization', true), '')::uuid);\n\
     -- grants\nGRANT SELECT, INSERT ON notes TO :serving_role;\n";
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "notes", sql: NOTES },
    Migration { version: 2, name: "audit", sql: audit::MIGRATION },
    Migration { version: 3, name: "idempotency", sql: idempotency::MIGRATION },
];
const WRITE: Scope = Scope::write("notes");

struct Notes {
    database: Database,
    writes: Writes,
}

#[derive(Deserialize)]
struct NewNote {
    text: String,
}

async fn create(
    State(notes): State<Arc<Notes>>,
    actor: Actor,
    request: WriteRequest,
) -> Result<Response, Problem> {
    actor.require(&WRITE)?;
    request.require_key()?;
    let note: NewNote = request.json()?;
    notes.writes.perform(&actor, &request, async |unit| insert(unit, &actor, note).await).await
}

async fn insert(unit: &mut Unit, actor: &Actor, note: NewNote) -> Result<Answer, Problem> {
    let id = unit.new_id();
    if note.text == "refuse" {
        return Err(Problem::new(&codes::NOT_FOUND).detail("refused"));
    }
    unit.audit(Event::new("note.create", "note").of(id).changed("text", (), note.text.as_str()));
    unit.transaction.later(
        "INSERT INTO notes (id, organization_id, text) VALUES ($1, $2, $3)",
        vec![Box::new(id), Box::new(actor.organization()), Box::new(note.text)],
    );
    Answer::json(StatusCode::CREATED, &json!({"id": id}))
}

async fn list(
    State(notes): State<Arc<Notes>>,
    actor: Actor,
    context: RequestContext,
) -> Result<axum::Json<Vec<String>>, Problem> {
    // Without a condition: what is of others must not show even where a query forgets it.
    let rows = Transaction::read(
        &notes.database,
        actor.organization(),
        &context.request_id,
        "SELECT text FROM notes ORDER BY id",
        &[],
    );
    Ok(axum::Json(rows.await?.iter().map(|row| row.get(0)).collect()))
}

struct Stage {
    servers: Servers,
    notes: Arc<Notes>,
}

impl Stage {
    async fn new() -> Self {
        let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
        let servers = Servers::start();
        servers.migrate(MIGRATIONS).await;
        let pooled = servers.database_as("app", Server::PgBouncer);
        let database = Database::new(&pooled, &servers.private_ca()).unwrap();
        let day = Duration::from_secs(86_400);
        let writes = Writes::new(database.clone(), Arc::new(SystemClock), Arc::new(SystemRandomness), day);
        Self { servers, notes: Arc::new(Notes { database, writes }) }
    }

    /// The router, as an agent of this organization meets it.
    fn router(&self, organization: u128) -> Router {
        let grant = Grant::of_scopes(Scopes::from_iter([WRITE]));
        let actor = Actor::Agent(Agent {
            id: Uuid::from_u128(organization + 100),
            organization: Uuid::from_u128(organization),
            token_id: Uuid::from_u128(organization + 200),
            grant: Arc::new(grant),
        });
        let router = Router::new()
            .route("/notes", get(list).post(create))
            .layer(Extension(actor))
            .with_state(Arc::clone(&self.notes));
        let contexts = Contexts {
            clock: Arc::new(SystemClock),
            randomness: Arc::new(SystemRandomness),
            edges: Edges::default(),
            secrets: Scrubber::default(),
        };
        let metrics = Arc::new(Metrics::new("test", "1", "r"));
        border::around(router, Border { contexts, metrics, limits: Limits::default() })
    }

    fn count(&self, table: &str) -> String {
        self.servers.sql(&format!("SELECT count(*) FROM {table}"), "app")
    }
}

async fn ask(
    router: Router,
    method: Method,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, HeaderMap, Value) {
    let mut request = Request::builder().method(method).uri("/notes");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (parts.status.as_u16(), parts.headers, serde_json::from_slice(&body).unwrap_or_default())
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_write_over_http_is_one_effect_and_is_read_back_by_its_organization_alone() {
    let stage = Stage::new().await;
    let headers = [JSON, ("idempotency-key", "one"), ("user-agent", "tester/1"), ("x-request-id", "r-7")];
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let router = stage.router(1);
        tasks.spawn(async move {
            loop {
                let got = ask(router.clone(), Method::POST, &headers, r#"{"text":"mine"}"#).await;
                if got.0 != 409 {
                    return got;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|(status, _, body)| *status == 201 && *body == answers[0].2), "{answers:?}");
    let fresh = answers.iter().filter(|(_, headers, _)| !headers.contains_key("idempotency-replayed"));
    assert_eq!(fresh.count(), 1);
    for table in ["notes", "audit_events", "idempotency_keys"] {
        assert_eq!(stage.count(table), "1", "{table}");
    }
    let event = stage.servers.sql("SELECT actor_kind, user_agent, request_id FROM audit_events", "app");
    assert_eq!(event, "agent|tester/1|r-7");

    // Another organization may use the same key, and sees nothing of this one.
    assert_eq!(ask(stage.router(2), Method::POST, &headers, r#"{"text":"theirs"}"#).await.0, 201);
    for (organization, seen) in [(1, json!(["mine"])), (2, json!(["theirs"])), (3, json!([]))] {
        assert_eq!(ask(stage.router(organization), Method::GET, &[], "").await.2, seen);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn bad_writes_are_problems_and_write_nothing() {
    let stage = Stage::new().await;
    let key = ("idempotency-key", "k");
    let twice = [JSON, key, ("idempotency-key", "l")];
    for (headers, body, status, code) in [
        (&[JSON][..], r#"{"text":"x"}"#, 400, "idempotency-key-missing"),
        (&twice[..], r#"{"text":"x"}"#, 400, "idempotency-key-invalid"),
        (&[key][..], r#"{"text":"x"}"#, 415, "content-type-unsupported"),
        (&[JSON, key][..], r#"{"text":"#, 400, "body-malformed"),
        (&[JSON, key][..], r#"{"text":"x","more":1}"#, 422, "validation-failed"),
        (&[JSON, key][..], r#"{"text":"refuse"}"#, 404, "not-found"),
    ] {
        let (got, _, problem) = ask(stage.router(1), Method::POST, headers, body).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{body}: {problem}");
    }
    assert_eq!(stage.count("notes"), "0");
    assert_eq!(stage.count("audit_events"), "0");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_read_cannot_write_and_leaves_no_organization_behind() {
    let stage = Stage::new().await;
    let (database, organization) = (&stage.notes.database, Some(Uuid::from_u128(1)));
    let insert = "INSERT INTO notes VALUES ('00000000-0000-0000-0000-000000000005', \
                  '00000000-0000-0000-0000-000000000001', 'x') RETURNING id";
    let refused = Transaction::read(database, organization, "r", insert, &[]).await.unwrap_err();
    assert!(format!("{refused:?}").contains("read-only transaction"), "{refused:?}");
    // On the same few server connections, before and after.
    for _ in 0..20 {
        let inside = "SELECT current_setting('app.organization', true), current_setting('application_name')";
        let rows = Transaction::read(database, organization, "r-8", inside, &[]).await.unwrap();
        let seen: (String, String) = (rows[0].get(0), rows[0].get(1));
        assert_eq!(seen, (Uuid::from_u128(1).to_string(), "app r-8".to_owned()));
        let outside: Option<String> = database
            .ask(async |client| {
                let setting =
                    client.prepare_cached("SELECT current_setting('app.organization', true)").await?;
                Ok(client.query_one(&setting, &[]).await?.get(0))
            })
            .await
            .unwrap();
        assert_eq!(outside.unwrap_or_default(), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_database_that_hangs_is_given_up_in_time_and_the_key_does_the_write_once_afterwards() {
    let stage = Stage::new().await;
    let headers = [JSON, ("idempotency-key", "one")];
    let ask = || ask(stage.router(1), Method::POST, &headers, r#"{"text":"mine"}"#);
    // A connection that is open and has served before.
    assert_eq!(self::ask(stage.router(1), Method::GET, &[], "").await.0, 200);
    stage.servers.freeze(Server::PgBouncer, true);
    for _ in 0..3 {
        let started = std::time::Instant::now();
        let (status, answered, problem) = ask().await;
        assert_eq!((status, problem["code"].as_str()), (503, Some("unavailable")), "{problem}");
        assert!(answered.contains_key("retry-after"), "{answered:?}");
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    }
    stage.servers.freeze(Server::PgBouncer, false);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let (status, ..) = loop {
        let got = ask().await;
        if !matches!(got.0, 409 | 503) || std::time::Instant::now() > deadline {
            break got;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(status, 201);
    assert_eq!((stage.count("notes"), stage.count("audit_events")), ("1".to_owned(), "1".to_owned()));
}
