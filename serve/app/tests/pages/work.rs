//! Projects and tasks in the browser.

use foundation::testing::chromium::Browser;
use foundation::testing::look::look;

use crate::stage::Stage;
use crate::support::seed;

pub async fn signed_in(stage: &Stage, name: &str, role: &str) -> Browser {
    let browser = Browser::start(crate::SITE, &[("app.example.test", stage.application.port)]).await;
    let person = seed::person(&stage.servers, stage.organization, name, role);
    browser.bring(&seed::session(&stage.servers, person, Some(stage.organization)).await).await;
    browser
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer, Valkey and Chromium installed"]
async fn a_person_makes_changes_deletes_and_restores_a_task() {
    let stage = Stage::new().await;
    let browser = signed_in(&stage, "Ada Lovelace", "owner").await;
    browser.open("/").await;
    look(&browser, "home-empty").await;
    browser.press("New project").await;
    look(&browser, "project-new").await;
    browser.fill("#name", "   ").await;
    browser.press("Make project").await;
    browser.expect("#name-fault", "Fill this in.").await;
    look(&browser, "project-new-refused").await;
    browser.fill("#name", "Garden").await;
    browser.fill("#description", "Everything green, and what it takes to keep it so.\n\nAsk Bob.").await;
    browser.press("Make project").await;
    browser.expect("h1", "Garden").await;
    look(&browser, "project-empty").await;
    let project = browser.path().await;
    let project = project.split('?').next().unwrap().to_owned();
    browser.press("New task").await;
    look(&browser, "task-new").await;
    browser.fill("#title", "Water the plants").await;
    browser.press("Make task").await;
    look(&browser, "task").await;
    let task = browser.path().await.split('?').next().unwrap().to_owned();
    browser.press("Start").await;
    browser.expect(".standing .state", "started").await;
    browser.open(&format!("{task}/edit")).await;
    let caller = stage.agent(seed::ALL_SCOPES);
    let api = format!("/api/v1{task}");
    let tag = caller.get(&api).await.header("etag").to_owned();
    let change = serde_json::json!({"title": "Water all the plants", "due_on": "2026-01-02"});
    assert_eq!(caller.patch(&api, &tag, &change).await.status, 200);
    browser.fill("#title", "Water the plants <b>well</b>").await;
    browser.press("Save").await;
    look(&browser, "task-conflict").await;
    browser.press("Save").await;
    browser.expect("h1", "Water the plants <b>well</b>").await;
    for (title, state, due) in [
        (
            "Repair the greenhouse before the first frost comes, which is early this year",
            "open",
            "2027-03-01",
        ),
        ("Order seeds", "done", "2026-02-01"),
        ("Sharpen the shears", "started", "2026-11-02"),
    ] {
        let project = project.rsplit('/').next().unwrap();
        let new = serde_json::json!({"project_id": project, "title": title, "state": state, "due_on": due});
        assert_eq!(caller.post("/api/v1/tasks", &new).await.status, 201);
    }
    for (path, name) in [
        ("/", "home"),
        ("/projects", "projects"),
        (project.as_str(), "project"),
        ("/tasks", "tasks"),
        ("/tasks?state=done", "tasks-filtered"),
        ("/tasks?deleted=true", "tasks-deleted"),
        (task.as_str(), "task-open"),
        ("/nowhere", "not-found"),
    ] {
        browser.open(path).await;
        look(&browser, name).await;
    }
    browser.open(&task).await;
    browser.press("Delete this task").await;
    look(&browser, "task-delete").await;
    browser.press("Delete task").await;
    look(&browser, "tasks-after-delete").await;
    browser.press("Deleted").await;
    look(&browser, "tasks-deleted-one").await;
    browser.press("Water the plants <b>well</b>").await;
    look(&browser, "task-deleted").await;
    browser.press("Restore task").await;
    browser.expect("[role=status]", "Restored.").await;
    browser.forget().await;
    browser.open("/").await;
    look(&browser, "front").await;
}
