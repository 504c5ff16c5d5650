//! Deletion that really deletes: after the window, everything, and before it, nothing.

use std::time::Duration;

use serde_json::json;

use crate::organizations::deleted_ago;
use crate::stage::Stage;
use crate::support::seed::{self, ALL_SCOPES};
use crate::tenancy::{fill, rows, tables};

/// What `app` gets for this statement.
fn as_app(stage: &Stage, statement: &str) -> Result<String, String> {
    stage.servers.sql_as("app", statement, "app")
}

/// Has the job run, and waits until it has.
async fn run_job(stage: &Stage) {
    let id = seed::id();
    stage.servers.sql(
        &format!(
            "INSERT INTO jobs (id, queue, kind, payload, run_at, feed_at, max_attempts) \
             VALUES ('{id}', 'default', 'purge', 'null', now(), now(), 1)"
        ),
        "app",
    );
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let state = format!("SELECT finished_at IS NOT NULL, last_error FROM jobs WHERE id = '{id}'");
    while !stage.servers.sql(&state, "app").starts_with('t') {
        assert!(tokio::time::Instant::now() < deadline, "{}", stage.servers.sql(&state, "app"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn nothing_of_an_organization_is_left_in_any_table() {
    let stage = Stage::new().await;
    let owner = stage.person("ada", "owner").await;
    let agent = stage.agent(ALL_SCOPES);
    let key = [("idempotency-key", "\"kept\"")];
    let made = agent
        .send(axum::http::Method::POST, "/api/v1/projects", &key, Some(&json!({"name": "Garden"})))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let invite = json!({"email": "eve@example.test", "role": "viewer"});
    let path = format!("/api/v1/organizations/{}", stage.organization);
    assert_eq!(owner.post(&format!("{path}/invitations"), &invite).await.status, 201);
    fill(&stage.servers, stage.organization);
    let other = seed::organization(&stage.servers, "other");
    fill(&stage.servers, other);
    // More than one batch removes at once, and more below it than in it.
    stage.servers.sql(
        &format!(
            "INSERT INTO tasks (id, organization_id, project_id, title, state, created_at, created_by, updated_at) \
             SELECT gen_random_uuid(), '{}', '{}', 'Task', 'open', now(), gen_random_uuid(), now() \
             FROM generate_series(1, 2500)",
            stage.organization,
            made.json()["id"].as_str().unwrap()
        ),
        "app",
    );
    let kept = rows(&stage.servers, other);
    assert_eq!(owner.delete(&path, "*").await.status, 204);

    deleted_ago(&stage, stage.organization, "29 days 23 hours");
    run_job(&stage).await;
    assert!(
        rows(&stage.servers, stage.organization).iter().all(|(_, count)| *count > 0),
        "not before its time"
    );

    deleted_ago(&stage, stage.organization, "30 days 1 second");
    run_job(&stage).await;
    assert!(tables(&stage.servers).len() >= 14);
    for (table, count) in rows(&stage.servers, stage.organization) {
        assert_eq!(count, 0, "{table} has rows of it");
    }
    assert_eq!(rows(&stage.servers, other), kept, "those of others stay");
    // Its name stands nowhere but in the trace of its removal.
    let tables = stage.servers.sql(
        "SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
        "app",
    );
    for table in tables.split(' ') {
        let named =
            stage.count(&format!("{table} AS found WHERE found::text LIKE '%{}%'", stage.organization));
        assert_eq!(named, if table == "audit_events" { "1" } else { "0" }, "{table}");
    }
    let trace =
        "audit_events WHERE action = 'organization.purge' AND actor_kind = 'system' AND result = 'success'";
    assert_eq!(stage.count(trace), "1");
    let agents = "idempotency_keys WHERE caller LIKE 'agent:%'";
    assert_eq!(stage.count(agents), "0");
    assert_eq!(owner.get("/api/v1/organizations").await.json()["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_belongs_to_an_organization_is_found_without_reading_whole_tables() {
    let stage = Stage::new().await;
    for table in tables(&stage.servers) {
        let plan = format!(
            "SET enable_seqscan = off; EXPLAIN SELECT ctid FROM {table} WHERE organization_id = '{}' LIMIT 1000",
            stage.organization
        );
        let plan = stage.servers.sql(&plan, "app");
        assert!(plan.contains("Index Cond: (organization_id ="), "{table}: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_serving_role_cannot_shorten_the_window() {
    let stage = Stage::new().await;
    fill(&stage.servers, stage.organization);
    let id = stage.organization;
    let enter = format!("SELECT set_config('app.organization', '{id}', true)");
    let purge = "SELECT purge_organizations(1000, 'r')";
    assert_eq!(as_app(&stage, purge).unwrap(), "0", "nothing is deleted");
    let backdate = format!(
        "{enter}; UPDATE organizations SET deleted_at = now() - interval '31 days' WHERE id = '{id}'"
    );
    as_app(&stage, &backdate).unwrap();
    let age = format!("SELECT now() - deleted_at < interval '1 minute' FROM organizations WHERE id = '{id}'");
    assert_eq!(stage.servers.sql(&age, "app"), "t", "it was deleted now");
    as_app(&stage, &backdate).unwrap();
    assert_eq!(stage.servers.sql(&age, "app"), "t", "and stays so");
    let new = seed::id();
    as_app(
        &stage,
        &format!(
            "SELECT set_config('app.organization', '{new}', true); INSERT INTO organizations \
             (id, name, created_at, updated_at, deleted_at) VALUES ('{new}', 'x', now(), now(), '2001-01-01')"
        ),
    )
    .unwrap();
    assert_eq!(as_app(&stage, purge).unwrap(), "0");
    assert!(rows(&stage.servers, id).iter().all(|(_, count)| *count > 0));

    // What is over does not come back: a part of it may be gone.
    deleted_ago(&stage, id, "30 days 1 second");
    let revive = format!("{enter}; UPDATE organizations SET deleted_at = NULL WHERE id = '{id}'");
    assert!(as_app(&stage, &revive).unwrap_err().contains("too long ago"));
    assert_eq!(
        as_app(&stage, "SELECT purge_organizations(5, 'r')").unwrap(),
        "5",
        "no more at once than asked for"
    );
    assert_eq!(stage.count(&format!("organizations WHERE id = '{id}'")), "1", "the last of it goes last");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn projects_tasks_and_people_go_after_the_window() {
    let stage = Stage::new().await;
    let agent = stage.agent(ALL_SCOPES);
    let mut projects = Vec::new();
    for name in ["stays", "deleted", "long deleted"] {
        let project = agent.post("/api/v1/projects", &json!({"name": name})).await.json();
        for title in ["stays", "deleted", "long deleted"] {
            let task = json!({"project_id": project["id"], "title": format!("{title} in {name}")});
            assert_eq!(agent.post("/api/v1/tasks", &task).await.status, 201);
        }
        projects.push(project);
    }
    stage.servers.sql(
        "UPDATE projects SET deleted_at = now() - interval '29 days' WHERE name = 'deleted'; \
         UPDATE projects SET deleted_at = now() - interval '31 days' WHERE name = 'long deleted'; \
         UPDATE tasks SET deleted_at = now() - interval '29 days' WHERE title LIKE 'deleted in%'; \
         UPDATE tasks SET deleted_at = now() - interval '31 days' WHERE title LIKE 'long deleted in%'",
        "app",
    );
    let [newcomer, member, left, gone] =
        ["newcomer", "member", "left", "gone"].map(|name| seed::somebody(&stage.servers, name));
    seed::member(&stage.servers, stage.organization, member, "viewer");
    seed::member(&stage.servers, stage.organization, left, "viewer");
    stage
        .servers
        .sql("UPDATE people SET updated_at = now() - interval '31 days' WHERE subject <> 'newcomer'", "app");
    stage.servers.sql(&format!("DELETE FROM memberships WHERE person_id = '{left}'"), "app");

    run_job(&stage).await;
    let left_over = |sql: &str| stage.servers.sql(sql, "app");
    assert_eq!(left_over("SELECT string_agg(name, ', ' ORDER BY name) FROM projects"), "deleted, stays");
    assert_eq!(
        left_over("SELECT string_agg(title, ', ' ORDER BY title) FROM tasks"),
        "deleted in deleted, deleted in stays, stays in deleted, stays in stays"
    );
    assert_eq!(
        left_over("SELECT string_agg(subject, ', ' ORDER BY subject) FROM people"),
        "left, member, newcomer"
    );
    assert_eq!(
        (
            stage.count("audit_events WHERE action = 'project.purge'"),
            stage.count("audit_events WHERE action = 'task.purge'")
        ),
        ("1".to_owned(), "5".to_owned())
    );
    let purged = format!("audit_events WHERE action = 'person.purge' AND resource_id = '{gone}'");
    assert_eq!(stage.count(&purged), "1");
    let own =
        format!("audit_events WHERE action LIKE '%.purge' AND organization_id = '{}'", stage.organization);
    assert_eq!(stage.count(&own), "6", "an organization's log says what became of its own");
    let _ = newcomer;
    stage.servers.sql("UPDATE people SET left_at = now() - interval '31 days' WHERE subject = 'left'", "app");
    run_job(&stage).await;
    assert_eq!(
        left_over("SELECT string_agg(subject, ', ' ORDER BY subject) FROM people"),
        "member, newcomer"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn ended_tokens_go_after_the_window_and_those_that_minted_others_last() {
    let stage = Stage::new().await;
    let agent = stage.agent(ALL_SCOPES);
    let id = agent.get("/api/v1/me").await.json()["id"].as_str().unwrap().to_owned();
    let mut ids = std::collections::BTreeMap::new();
    for name in ["good", "expired", "long expired", "long revoked", "parent", "child"] {
        let wanted = json!({"name": name, "scopes": ["tasks:read"]});
        let minted = agent.post(&format!("/api/v1/agents/{id}/tokens"), &wanted).await;
        assert_eq!(minted.status, 201, "{}", minted.text);
        ids.insert(name, minted.json()["id"].as_str().unwrap().to_owned());
    }
    stage.servers.sql(
        &format!(
            "UPDATE tokens SET parent_id = NULL; \
             UPDATE tokens SET parent_id = '{}' WHERE name = 'child'; \
             UPDATE tokens SET expires_at = now() - interval '29 days' WHERE name IN ('expired', 'child'); \
             UPDATE tokens SET expires_at = now() - interval '31 days' WHERE name IN ('long expired', 'parent'); \
             UPDATE tokens SET revoked_at = now() - interval '31 days' WHERE name = 'long revoked'",
            ids["parent"]
        ),
        "app",
    );
    let names = "SELECT string_agg(name, ', ' ORDER BY name) FROM tokens WHERE name <> 'token'";
    let before = as_app(&stage, &format!("DELETE FROM tokens WHERE id = '{}'", ids["long expired"]));
    assert_eq!(before.unwrap(), "", "no policy lets the serving role do it outside its organization");
    run_job(&stage).await;
    assert_eq!(stage.servers.sql(names, "app"), "child, expired, good, parent");
    stage
        .servers
        .sql("UPDATE tokens SET expires_at = now() - interval '31 days' WHERE name = 'child'", "app");
    run_job(&stage).await;
    assert_eq!(stage.servers.sql(names, "app"), "expired, good");
    assert_eq!(stage.count("audit_events WHERE action = 'token.purge'"), "4");
}
