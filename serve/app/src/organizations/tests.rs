//! Organizations: made, changed, deleted, restored and exported.

use axum::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{Caller, Stage};
use crate::support::seed::{self, ALL_SCOPES};

fn path(organization: impl std::fmt::Display) -> String {
    format!("/api/v1/organizations/{organization}")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn nobody_owns_too_many_also_when_they_are_made_at_once() {
    let stage = Stage::new().await;
    let ada = stage.somebody("ada").await;
    for number in 0..19 {
        let owned = seed::organization(&stage.servers, &format!("No. {number}"));
        seed::member(&stage.servers, owned, ada.id, "owner");
    }
    let body = json!({"name": "One more"});
    // They wait for it, and go on together.
    let lock = stage.servers.lock("organizations");
    let make = async || ada.post("/api/v1/organizations", &body).await.status.as_u16();
    let release = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        tokio::task::spawn_blocking(move || lock.release()).await.unwrap();
    };
    let (first, second, third, ()) = tokio::join!(make(), make(), make(), release);
    let mut statuses = [first, second, third];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_makes_an_organization_owns_it_and_works_in_it() {
    let stage = Stage::new().await;
    let ada = stage.person("ada", "member").await;
    assert_eq!(ada.post("/api/v1/projects", &json!({"name": "Garden"})).await.status, 201);

    let key = [("idempotency-key", "\"once\"")];
    let body = json!({"name": " Gardeners "});
    let made = ada.send(Method::POST, "/api/v1/organizations", &key, Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!((made.json()["name"].as_str(), made.header("location")), (Some("Gardeners"), &*path(&id)));

    // The session is in the new organization, in which there is nothing of the other.
    let read = ada.get(&path(&id)).await;
    assert_eq!((read.status.as_u16(), read.header("etag")), (200, made.header("etag")), "{}", read.text);
    assert_eq!(ada.get("/api/v1/projects").await.json()["items"], json!([]));
    assert_eq!(ada.get(&path(stage.organization)).await.status, 404);
    let own = ada.get("/api/v1/organizations").await.json();
    let own: Vec<_> = own["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["organization"]["name"].as_str().unwrap(), item["role"].as_str().unwrap()))
        .collect();
    assert_eq!(own, [("first", "member"), ("Gardeners", "owner")]);

    let again = ada.send(Method::POST, "/api/v1/organizations", &key, Some(&body)).await;
    assert_eq!((again.text.as_str(), again.header("idempotency-replayed")), (made.text.as_str(), "true"));
    assert_eq!(stage.count("organizations"), "2");
    let events = stage.servers.sql(
        &format!(
            "SELECT string_agg(action, ' ' ORDER BY action) FROM audit_events WHERE organization_id = '{id}'"
        ),
        "app",
    );
    assert_eq!(events, "member.create organization.create");

    for bad in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "x".repeat(101)}),
        json!({"name": "a\nb"}),
        json!({"name": "a", "id": id}),
    ] {
        assert_eq!(ada.post("/api/v1/organizations", &bad).await.status, 422, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_person_owns_so_many_and_no_more() {
    let stage = Stage::new().await;
    let ada = stage.somebody("ada").await;
    for number in 0..20 {
        let made = ada.post("/api/v1/organizations", &json!({"name": format!("No. {number}")})).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let refused = ada.post("/api/v1/organizations", &json!({"name": "One more"})).await;
    assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (409, Some("quota-reached")));
    // They come a page at a time.
    let mut query = "/api/v1/organizations?limit=7".to_owned();
    let mut names = Vec::new();
    loop {
        let page = ada.get(&query).await.json();
        names.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["organization"]["name"].to_string()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("/api/v1/organizations?limit=7&cursor={cursor}");
    }
    assert_eq!(names, (0..20).map(|number| format!("\"No. {number}\"")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_agent_sees_its_own_and_makes_or_deletes_none() {
    let stage = Stage::new().await;
    let agent = stage.agent(ALL_SCOPES);
    let listed = agent.get("/api/v1/organizations").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed["items"][0]["organization"]["name"], &listed["items"][0]["role"]),
        (&json!("first"), &json!(null))
    );
    let read = agent.get(&path(stage.organization)).await;
    assert_eq!(read.status, 200);
    for answer in [
        agent.post("/api/v1/organizations", &json!({"name": "Mine"})).await,
        agent.delete(&path(stage.organization), "*").await,
        agent.post(&format!("{}/restorations", path(stage.organization)), &json!({})).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (403, Some("people-only")));
    }
    let narrow = stage.agent(&["tasks:read"]);
    assert_eq!(narrow.get("/api/v1/organizations").await.json()["scope"], "organizations:read");
    assert_eq!(narrow.get(&path(stage.organization)).await.status, 403);
    // A token for one project has no business with the organization.
    let scopes = ["organizations:read", "organizations:write", "members:read"];
    let restricted =
        stage.caller(seed::token_within(&stage.servers, stage.organization, &scopes, Some(&[seed::id()])));
    assert_eq!(restricted.get("/api/v1/organizations").await.json()["items"], json!([]));
    assert_eq!(restricted.get(&path(stage.organization)).await.status, 404);
    assert_eq!(restricted.patch(&path(stage.organization), "*", &json!({"name": "x"})).await.status, 404);
    assert_eq!(restricted.get(&format!("{}/members", path(stage.organization))).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn only_the_organization_in_which_one_works_is_there() {
    let stage = Stage::new().await;
    let (stranger, owner) = (stage.stranger(), stage.person("ada", "owner").await);
    let other = seed::organization(&stage.servers, "other");
    seed::member(&stage.servers, other, owner.id, "owner");
    for (caller, organization) in [(&stranger, stage.organization), (&owner, other)] {
        let path = path(organization);
        let member = format!("{path}/members/{}", owner.id);
        let invitation = format!("{path}/invitations/{}", seed::id());
        for read in [
            path.clone(),
            format!("{path}/members"),
            member.clone(),
            format!("{path}/invitations"),
            invitation.clone(),
            format!("{path}/export"),
        ] {
            assert_eq!(caller.get(&read).await.status, 404, "{read}");
        }
        assert_eq!(caller.patch(&path, "*", &json!({"name": "Mine"})).await.status, 404);
        assert_eq!(caller.patch(&member, "*", &json!({"role": "viewer"})).await.status, 404);
        assert_eq!(caller.delete(&member, "*").await.status, 404);
        assert_eq!(caller.delete(&invitation, "*").await.status, 404);
        let invite = json!({"email": "eve@example.test", "role": "viewer"});
        assert_eq!(caller.post(&format!("{path}/invitations"), &invite).await.status, 404);
    }
    assert_eq!(owner.delete(&path(other), "*").await.status, 404);
    assert_eq!(stage.count("organizations WHERE deleted_at IS NULL AND name IN ('first', 'other')"), "2");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_owner_changes_it_by_the_version_that_they_saw() {
    let stage = Stage::new().await;
    let (owner, admin) = (stage.person("ada", "owner").await, stage.person("bob", "admin").await);
    let path = path(stage.organization);
    let read = owner.get(&path).await;
    let known = owner.send(Method::GET, &path, &[("if-none-match", read.header("etag"))], None).await;
    assert_eq!(known.status, 304);
    let bare = owner.send(Method::PATCH, &path, &[], Some(&json!({"name": "New"}))).await;
    assert_eq!(bare.status, 428, "{}", bare.text);
    let changed = owner.patch(&path, read.header("etag"), &json!({"name": "New"})).await;
    assert_eq!((changed.status.as_u16(), changed.json()["name"].as_str()), (200, Some("New")));
    assert_eq!(owner.patch(&path, read.header("etag"), &json!({"name": "Newer"})).await.status, 412);
    assert_eq!(owner.delete(&path, read.header("etag")).await.status, 412);
    assert_eq!(
        admin.patch(&path, "*", &json!({"name": "Mine"})).await.json()["scope"],
        "organizations:write"
    );
    let change =
        stage.servers.sql("SELECT changes FROM audit_events WHERE action = 'organization.update'", "app");
    assert_eq!(change, r#"{"name": ["first", "New"]}"#);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_was_deleted_is_there_for_nobody_until_an_owner_restores_it() {
    let stage = Stage::new().await;
    let (owner, admin) = (stage.person("ada", "owner").await, stage.person("bob", "admin").await);
    let agent = stage.agent(ALL_SCOPES);
    assert_eq!(agent.post("/api/v1/projects", &json!({"name": "Garden"})).await.status, 201);
    let path = path(stage.organization);
    assert_eq!(admin.delete(&path, "*").await.status, 403);
    let tag = owner.get(&path).await.header("etag").to_owned();
    let deleted = owner.delete(&path, &tag).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text);

    for caller in [&owner, &admin] {
        assert_eq!(caller.get(&path).await.status, 403, "no scope without an organization");
        assert_eq!(caller.get("/api/v1/projects").await.status, 403);
        assert_eq!(caller.get("/api/v1/organizations").await.json()["items"], json!([]));
    }
    let refused = tokio::time::timeout(std::time::Duration::from_secs(10), async {
        loop {
            let answer = agent.get("/api/v1/projects").await;
            if answer.status != 200 {
                return answer;
            }
        }
    })
    .await
    .expect("the token ends within a second");
    assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (401, Some("bad-credentials")));

    assert_eq!((restorable(&owner).await, restorable(&admin).await), (1, 0));
    let restorations = format!("{path}/restorations");
    assert_eq!(admin.post(&restorations, &json!({})).await.status, 404);
    assert_eq!(stage.somebody("eve").await.post(&restorations, &json!({})).await.status, 404);
    let restored = owner.post(&restorations, &json!({})).await;
    assert_eq!(
        (restored.status.as_u16(), &restored.json()["deleted_at"]),
        (200, &json!(null)),
        "{}",
        restored.text
    );
    assert_eq!(owner.get(&path).await.header("etag"), restored.header("etag"));
    assert_eq!(owner.post(&restorations, &json!({})).await.text, restored.text, "nothing more to restore");
    assert_eq!(admin.get("/api/v1/projects").await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(agent.get("/api/v1/projects").await.status, 200);
    let actions = stage.servers.sql(
        "SELECT string_agg(action, ' ' ORDER BY id) FROM audit_events WHERE resource_kind = 'organization'",
        "app",
    );
    assert_eq!(actions, "organization.delete organization.restore");
}

/// How many organizations somebody can restore.
async fn restorable(caller: &Caller<'_>) -> usize {
    caller.get("/api/v1/organizations?deleted=true").await.json()["items"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn after_the_window_nobody_restores_it() {
    let stage = Stage::new().await;
    let owner = stage.person("ada", "owner").await;
    let path = path(stage.organization);
    assert_eq!(owner.delete(&path, "*").await.status, 204);
    deleted_ago(&stage, stage.organization, "30 days 1 second");
    let answer = owner.post(&format!("{path}/restorations"), &json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (404, Some("not-found")));
    assert_eq!(owner.get("/api/v1/organizations?deleted=true").await.json()["items"], json!([]));
    deleted_ago(&stage, stage.organization, "29 days 23 hours");
    assert_eq!(owner.post(&format!("{path}/restorations"), &json!({})).await.status, 200);
}

/// Sets back when an organization was deleted, as nobody but the superuser can.
pub fn deleted_ago(stage: &Stage, organization: Uuid, ago: &str) {
    stage.servers.sql(
        &format!(
            "SET session_replication_role = replica; \
             UPDATE organizations SET deleted_at = now() - interval '{ago}' WHERE id = '{organization}'"
        ),
        "app",
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_export_has_all_of_it_and_no_secret() {
    let stage = Stage::new().await;
    let (admin, member) = (stage.person("ada", "admin").await, stage.person("bob", "member").await);
    let agent = stage.agent(ALL_SCOPES);
    let project = agent.post("/api/v1/projects", &json!({"name": "Garden"})).await.json();
    let id = project["id"].as_str().unwrap();
    let path = path(stage.organization);
    let invite = json!({"email": "eve@example.test", "role": "viewer"});
    let invited = admin.post(&format!("{path}/invitations"), &invite).await;
    assert_eq!(invited.status, 201, "{}", invited.text);
    // More than a part of the answer, with the same time.
    stage.servers.sql(
        &format!(
            "INSERT INTO tasks (id, organization_id, project_id, title, state, created_at, created_by, updated_at) \
             SELECT gen_random_uuid(), '{org}', '{id}', 'Task ' || n, 'open', now(), '{id}', now() \
             FROM generate_series(1, 250) n",
            org = stage.organization
        ),
        "app",
    );
    let other = seed::organization(&stage.servers, "other");
    crate::tenancy::fill(&stage.servers, other);
    crate::tenancy::fill(&stage.servers, stage.organization);

    let export = admin.get(&format!("{path}/export")).await;
    assert_eq!((export.status.as_u16(), export.header("content-type")), (200, "application/x-ndjson"));
    assert_eq!(
        export.header("content-disposition"),
        format!("attachment; filename=\"organization-{}.ndjson\"", stage.organization)
    );
    let lines: Vec<Value> = export.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (end, lines) = lines.split_last().unwrap();
    assert_eq!(end, &json!({"kind": "end", "lines": lines.len()}));
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!((of("organization"), of("project"), of("invitation")), (1, 2, 2));
    let tasks: std::collections::BTreeSet<_> =
        lines.iter().filter(|line| line["kind"] == "task").map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!((of("task"), tasks.len()), (251, 251), "each once");
    assert_eq!(of("member"), 3);
    for kind in [
        "agent",
        "token",
        "webhook_endpoint",
        "webhook_message",
        "webhook_delivery",
        "webhook_attempt",
        "audit_event",
        "audit_batch",
    ] {
        assert!(of(kind) > 0, "{kind}");
    }
    assert!(!export.text.contains(&other.to_string()));
    let secrets = stage.servers.sql(
        "SELECT encode(hash, 'hex') FROM tokens UNION ALL SELECT encode(hash, 'hex') FROM invitations \
         UNION ALL SELECT encode(sealed, 'hex') FROM webhook_secrets",
        "app",
    );
    assert!(secrets.lines().count() >= 4);
    for secret in secrets.lines().chain([invited.json()["secret"].as_str().unwrap()]) {
        assert!(!export.text.contains(secret));
    }
    assert_eq!(stage.count("audit_events WHERE action = 'organization.export'"), "1");

    let refused = member.get(&format!("{path}/export")).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    let restricted =
        seed::token_within(&stage.servers, stage.organization, ALL_SCOPES, Some(&[stage.organization]));
    assert_eq!(stage.caller(restricted).get(&format!("{path}/export")).await.status, 403);
    assert_eq!(agent.get(&format!("{path}/export")).await.status, 200);
    assert_eq!(stage.count("audit_events WHERE action = 'organization.export'"), "2");
}
