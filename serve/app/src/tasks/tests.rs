//! Tasks and their projects, as an agent meets them.

use serde_json::json;

use crate::stage::Stage;
use crate::support::seed::ALL_SCOPES;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_task_is_made_read_changed_deleted_and_restored() {
    let stage = Stage::new().await;
    let agent = stage.agent(ALL_SCOPES);
    let project = agent.post("/api/v1/projects", &json!({"name": "Garden"})).await;
    assert_eq!(project.status, 201, "{}", project.text);
    let project_id = project.json()["id"].clone();

    let made = agent
        .post("/api/v1/tasks", &json!({"project_id": project_id, "title": " Water ", "due_on": "2026-12-24"}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let task = made.json();
    assert_eq!(
        (&task["title"], &task["state"], &task["due_on"]),
        (&json!("Water"), &json!("open"), &json!("2026-12-24"))
    );
    let path = made.header("location").to_owned();
    assert_eq!(path, format!("/api/v1/tasks/{}", task["id"].as_str().unwrap()));

    let read = agent.get(&path).await;
    assert_eq!((read.json(), read.header("etag")), (task.clone(), made.header("etag")));
    let tag = read.header("etag").to_owned();

    for day in ["-9999-01-01", "0000-12-31", "-4000-01-01"] {
        let refused = agent.patch(&path, &tag, &json!({"due_on": day})).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["code"]),
            (422, &json!("validation-failed")),
            "{day}"
        );
    }
    let changed = agent.patch(&path, &tag, &json!({"state": "done", "due_on": null})).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!((&changed.json()["state"], &changed.json()["due_on"]), (&json!("done"), &json!(null)));
    let stale = agent.patch(&path, &tag, &json!({"state": "open"})).await;
    assert_eq!(stale.status, 412, "{}", stale.text);

    let deleted = agent.delete(&path, changed.header("etag")).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    let list = |query: &'static str| agent.get(query);
    assert_eq!(list("/api/v1/tasks").await.json()["items"], json!([]));
    assert_eq!(list("/api/v1/tasks?deleted=true").await.json()["items"][0]["id"], task["id"]);
    let restored = agent.post(&format!("{path}/restorations"), &json!({})).await;
    assert_eq!((restored.status.as_u16(), &restored.json()["deleted_at"]), (200, &json!(null)));
    assert_eq!(list("/api/v1/tasks?state=done").await.json()["items"][0]["id"], task["id"]);

    let actions =
        stage.servers.sql("SELECT string_agg(action, ' ' ORDER BY occurred_at, id) FROM audit_events", "app");
    assert_eq!(actions, "project.create task.create task.update task.delete task.restore");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn tasks_go_with_their_project_and_come_back_with_it() {
    let stage = Stage::new().await;
    let agent = stage.agent(ALL_SCOPES);
    let project = agent.post("/api/v1/projects", &json!({"name": "Garden"})).await;
    let project_path = project.header("location").to_owned();
    let new = json!({"project_id": project.json()["id"], "title": "Water"});
    let task = agent.post("/api/v1/tasks", &new).await;
    let path = task.header("location").to_owned();
    assert_eq!(agent.delete(&project_path, project.header("etag")).await.status, 204);

    assert_eq!(agent.get(&path).await.status, 404);
    assert_eq!(agent.get("/api/v1/tasks").await.json()["items"], json!([]));
    assert_eq!(agent.patch(&path, "*", &json!({"title": "Mow"})).await.status, 404);
    assert_eq!(agent.delete(&path, "*").await.status, 404);
    assert_eq!(agent.post("/api/v1/tasks", &new).await.status, 404);

    let restored = agent.post(&format!("{project_path}/restorations"), &json!({})).await;
    assert_eq!(restored.status, 200, "{}", restored.text);
    assert_eq!(agent.get(&path).await.json(), task.json());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_task_of_another_organization_is_not_there() {
    let stage = Stage::new().await;
    let (agent, stranger) = (stage.agent(ALL_SCOPES), stage.stranger());
    let project = agent.post("/api/v1/projects", &json!({"name": "Garden"})).await.json();
    let task = agent.post("/api/v1/tasks", &json!({"project_id": project["id"], "title": "Water"})).await;
    let path = task.header("location").to_owned();
    assert_eq!(stranger.get(&path).await.status, 404);
    assert_eq!(stranger.patch(&path, "\"v1\"", &json!({"title": "Mine"})).await.status, 404);
    assert_eq!(stranger.delete(&path, "*").await.status, 404);
    let made = stranger.post("/api/v1/tasks", &json!({"project_id": project["id"], "title": "Mine"})).await;
    assert_eq!(made.status, 404, "{}", made.text);
    assert_eq!(stage.count("tasks"), "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn people_do_what_their_role_allows_from_pages_of_the_site() {
    let stage = Stage::new().await;
    let (member, viewer) = (stage.person("ada", "member").await, stage.person("bob", "viewer").await);
    let made = member.post("/api/v1/projects", &json!({"name": "Garden"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(viewer.get(made.header("location")).await.status, 200);
    let refused = viewer.post("/api/v1/projects", &json!({"name": "Mine"})).await;
    assert_eq!((refused.status.as_u16(), refused.json()["scope"].as_str()), (403, Some("projects:write")));
}
