//! A client that a public generator makes out of the description, used against the running application.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::stage::Stage;
use crate::support::seed::{self, ALL_SCOPES};

const TOOLS: &str = "/opt/tools/bin";

/// Runs a tool to its end, and fails with what it said.
fn run(command: &mut Command, directory: &Path) -> String {
    let path = format!("{TOOLS}:/usr/bin:/bin");
    let output = command.env("PATH", path).current_dir(directory).stdin(Stdio::null()).output().unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}\n{complained}");
    format!("{said}{complained}")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_generated_client_works_with_projects_and_tasks() {
    let stage = Stage::new().await;
    let token = seed::token(&stage.servers, stage.organization, ALL_SCOPES);
    let directory = stage.servers.path("client");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("openapi.json"), stage.application.get("/openapi.json").await.text)
        .unwrap();

    let generator = format!("{TOOLS}/openapi-python-client");
    let mut generate = Command::new(generator);
    generate.args(["generate", "--path", "openapi.json", "--meta", "none", "--output-path", "generated"]);
    let said = run(&mut generate, &directory);
    println!("{said}");
    // The generator knows no lines of JSON, and leaves that one answer out.
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("WARNING")).collect();
    assert_eq!(warnings, ["WARNING parsing GET /api/v1/organizations/{id}/export within organizations."]);

    let (url, ca) =
        (format!("https://localhost:{}", stage.application.port), stage.application.ca().to_path_buf());
    let script = format!("{}/tests/tools/client.py", env!("CARGO_MANIFEST_DIR"));
    let said = tokio::task::spawn_blocking(move || {
        let mut work = Command::new(format!("{TOOLS}/python"));
        work.arg(script)
            .env("PYTHONPATH", &directory)
            .env("URL", url)
            .env("TOKEN", token)
            .env("AUTHORITY", ca);
        run(&mut work, &directory)
    });
    println!("{}", said.await.unwrap());
    let actions = stage.servers.sql(
        "SELECT string_agg(action, ' ' ORDER BY occurred_at, id) FROM audit_events WHERE result = 'success' \
                           AND resource_kind IN ('project', 'task')",
        "app",
    );
    assert_eq!(
        actions,
        "project.create task.create project.update task.update task.delete task.restore task.delete project.delete"
    );
}
