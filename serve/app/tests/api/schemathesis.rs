//! The API as schemathesis meets it: what it answers is compared with what it says of itself.
//!
//! The requests are the same in each run, and as many as there is time for within `make test`. For more of them, and others,
//! say so in `SCHEMATHESIS`, which is added to its arguments: `SCHEMATHESIS="--seed 7 --max-examples 500 --max-time 3600"`.

use std::process::{Command, Stdio};

use crate::stage::Stage;
use crate::support::seed::{self, ALL_SCOPES};

const TOOL: &str = "/opt/tools/bin/st";
/// So many that none of them comes to its limit.
const TOKENS: usize = 30;

/// Lets schemathesis ask with one of these tokens at a time, or without, and fails where it finds something.
async fn examine(stage: &Stage, tokens: &[String], arguments: &[&str]) {
    let tools = format!("{}/tests/tools", env!("CARGO_MANIFEST_DIR"));
    let living = "SELECT string_agg(id, ',') FROM (SELECT id::text FROM tokens UNION SELECT id::text FROM agents) AS these (id)";
    let mut command = Command::new(TOOL);
    command
        .args(["--no-color", "--config-file", &format!("{tools}/schemathesis.toml"), "run"])
        .arg(format!("https://localhost:{}/openapi.json", stage.application.port))
        .args(arguments)
        .args(std::env::var("SCHEMATHESIS").unwrap_or_default().split_whitespace())
        .env("HOOKS", format!("{tools}/hooks.py"))
        .env("AUTHORITY", stage.application.ca())
        .env("TOKENS", tokens.join(","))
        .env("KEPT", stage.servers.sql(living, "app"))
        .env("COLUMNS", "150")
        .current_dir(stage.servers.path(""))
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{said}\n{complained}");
}

fn tokens(stage: &Stage, scopes: &[&str]) -> Vec<String> {
    (0..TOKENS).map(|_| seed::token(&stage.servers, stage.organization, scopes)).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_owner_meets_what_is_described() {
    let stage = Stage::new().await;
    let tokens = tokens(&stage, ALL_SCOPES);
    examine(&stage, &tokens, &[]).await;
    let refused = stage.caller(tokens[0].clone()).get("/api/v1/projects").await;
    assert_eq!(refused.status, 200, "the tokens did not live to the end: {}", refused.text);
}
