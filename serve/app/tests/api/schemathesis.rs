//! The API as schemathesis meets it: what it answers is compared with what it says of itself.

use std::process::{Command, Output};

use foundation::testing::servers::Servers;

use crate::stage::Stage;
use crate::support::seed::{self, ALL_SCOPES};

const TOOL: &str = "/opt/tools/bin/st";
/// So that no token comes to its limit.
const TOKENS: usize = 40;

fn examine(stage: &Stage, tokens: &[String]) -> Output {
    let tools = format!("{}/tests/tools", env!("CARGO_MANIFEST_DIR"));
    Command::new(TOOL)
        .args(["--no-color", "--config-file", &format!("{tools}/schemathesis.toml"), "run"])
        .arg(format!("https://localhost:{}/openapi.json", stage.application.port))
        .args(std::env::var("SCHEMATHESIS").unwrap_or_default().split_whitespace())
        .env("HOOKS", format!("{tools}/hooks.py"))
        .env("AUTHORITY", stage.application.ca())
        .env("TOKENS", tokens.join(","))
        .env("COLUMNS", "150")
        .current_dir(stage.servers.path(""))
        .output()
        .unwrap()
}

fn tokens(servers: &Servers, organization: uuid::Uuid, scopes: &[&str]) -> Vec<String> {
    (0..TOKENS).map(|_| seed::token(servers, organization, scopes)).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_owner_finds_what_is_described() {
    let stage = Stage::new().await;
    let tokens = tokens(&stage.servers, stage.organization, ALL_SCOPES);
    let output = examine(&stage, &tokens);
    println!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
}
