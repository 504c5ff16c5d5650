//! The API as schemathesis meets it: what it answers is compared with what it says of itself.
//!
//! The requests are the same in each run, and as many as there is time for within `make test`. For more of them, and others,
//! `SCHEMATHESIS` has arguments in place of those: `SCHEMATHESIS="--seed 7 --max-examples 500"`.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use crate::description::{Operation, operations};
use crate::scene::Scene;
use crate::stage::Stage;
use crate::support::application::PUBLIC_URL;
use crate::support::seed::{self, ALL_SCOPES};

const TOOL: &str = "/opt/tools/bin/st";
/// So many that none of them comes to its limit.
const TOKENS: usize = 20;
const SESSIONS: usize = 5;

/// Who asks.
#[derive(Default)]
struct Credentials {
    tokens: Vec<String>,
    sessions: Vec<String>,
    kept: Vec<String>,
}

impl Credentials {
    async fn of(stage: &Stage, scopes: &[&str], person: Option<uuid::Uuid>) -> Self {
        let tokens = (0..TOKENS).map(|_| seed::token(&stage.servers, stage.organization, scopes)).collect();
        let mut sessions = Vec::new();
        for person in person.iter().cycle().take(SESSIONS) {
            sessions.push(seed::session(&stage.servers, *person, Some(stage.organization)).await);
        }
        let agents = "SELECT id FROM tokens UNION SELECT id FROM agents UNION SELECT id FROM organizations \
                      UNION SELECT person_id FROM memberships";
        let kept = stage.servers.sql(agents, "app").lines().map(str::to_owned).collect();
        Self { tokens, sessions, kept }
    }
}

/// Lets schemathesis ask, and fails where it finds something.
async fn examine(stage: &Stage, credentials: &Credentials, arguments: &str) {
    let tools = format!("{}/tests/tools", env!("CARGO_MANIFEST_DIR"));
    let arguments = std::env::var("SCHEMATHESIS").unwrap_or_else(|_| arguments.to_owned());
    let mut command = Command::new(TOOL);
    command
        .args(["--no-color", "--config-file", &format!("{tools}/schemathesis.toml"), "run"])
        .arg(format!("https://localhost:{}/openapi.json", stage.application.port))
        .args(arguments.split_whitespace())
        .env("HOOKS", format!("{tools}/hooks.py"))
        .env("AUTHORITY", stage.application.ca())
        .env("TOKENS", credentials.tokens.join(","))
        .env("SESSIONS", credentials.sessions.join(","))
        .env("ORIGIN", PUBLIC_URL)
        .env("KEPT", credentials.kept.join(","))
        .env("COLUMNS", "150")
        .current_dir(stage.servers.path(""))
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "schemathesis found something: see above\n{complained}");
}

/// How often each status was answered by each operation, as the metrics tell it: `GET /path 200`.
async fn answered(stage: &Stage) -> BTreeSet<String> {
    let metrics = stage.application.metrics().await;
    let counted = metrics.lines().filter_map(|line| line.strip_prefix("app_http_requests_total{"));
    counted
        .map(|labels| {
            let label = |name: &str| {
                let (_, rest) = labels.split_once(&format!("{name}=\"")).unwrap();
                rest.split_once('"').unwrap().0.to_owned()
            };
            format!("{} {} {}", label("method"), label("route"), label("status"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_owner_meets_what_is_described() {
    let stage = Stage::new().await;
    let person = seed::person(&stage.servers, stage.organization, "owner", "owner");
    let credentials = Credentials::of(&stage, ALL_SCOPES, Some(person)).await;
    examine(&stage, &credentials, "--max-examples 12").await;

    let answered = answered(&stage).await;
    assert_eq!(answered.iter().find(|line| line.ends_with(" 500")), None, "the server made a mistake");
    let done = |operation: &Operation| {
        answered.iter().any(|line| line.starts_with(&format!("{} 2", operation.label())))
    };
    let never: Vec<String> =
        operations(&stage.application).await.iter().filter(|one| !done(one)).map(Operation::label).collect();
    println!("never done: {never:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn who_may_only_read_and_who_may_nothing_meet_what_is_described() {
    let mut scene = Scene::new(2).await;
    scene.stage.organization = scene.party.organization;
    let reading: Vec<&str> = ALL_SCOPES.iter().copied().filter(|scope| scope.ends_with(":read")).collect();
    let reader = Credentials::of(&scene.stage, &reading, None).await;
    scene.before = crate::snapshot::Snapshot::of_all(&scene.stage.servers);
    let arguments = "--phases examples,coverage,fuzzing --max-examples 5";
    examine(&scene.stage, &reader, arguments).await;
    examine(&scene.stage, &Credentials::default(), arguments).await;
    let answered = answered(&scene.stage).await;
    assert_eq!(answered.iter().find(|line| line.ends_with(" 500")), None, "the server made a mistake");
    scene.assert_nothing_written();
}
