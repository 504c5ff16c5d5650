//! Members: who may change whom, leaving, and the last owner.

use serde_json::json;
use uuid::Uuid;

use crate::stage::{Caller, Stage};
use crate::support::seed;

fn member(stage: &Stage, person: Uuid) -> String {
    format!("/api/v1/organizations/{}/members/{person}", stage.organization)
}

async fn change(caller: &Caller<'_>, stage: &Stage, person: Uuid, role: &str) -> (u16, String) {
    let answer = caller.patch(&member(stage, person), "*", &json!({"role": role})).await;
    (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

fn roles(stage: &Stage) -> String {
    stage.servers.sql(
        "SELECT string_agg(p.subject || ' ' || m.role, ', ' ORDER BY p.subject) \
         FROM memberships m JOIN people p ON p.id = m.person_id",
        "app",
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn members_are_listed_shown_and_changed() {
    let stage = Stage::new().await;
    let (admin, viewer) = (stage.person("ada", "admin").await, stage.person("bob", "viewer").await);
    let list = format!("/api/v1/organizations/{}/members", stage.organization);
    let first = viewer.get(&format!("{list}?limit=1")).await.json();
    assert_eq!((&first["items"][0]["name"], &first["items"][0]["role"]), (&json!("ada"), &json!("admin")));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = viewer.get(&format!("{list}?limit=1&cursor={cursor}")).await.json();
    assert_eq!(
        (&second["items"][0]["email"], &second["next_cursor"]),
        (&json!("bob@example.test"), &json!(null))
    );
    assert_eq!(viewer.get(&format!("{list}?role=viewer")).await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(viewer.get(&format!("{list}?role=emperor")).await.status, 400);

    let path = member(&stage, viewer.id);
    let read = viewer.get(&path).await;
    assert_eq!(read.json()["person_id"], json!(viewer.id));
    assert_eq!(viewer.patch(&path, "*", &json!({"role": "member"})).await.json()["scope"], "members:write");
    let changed = admin.patch(&path, read.header("etag"), &json!({"role": "member"})).await;
    assert_eq!(
        (changed.status.as_u16(), &changed.json()["role"]),
        (200, &json!("member")),
        "{}",
        changed.text
    );
    assert_eq!(admin.patch(&path, read.header("etag"), &json!({"role": "admin"})).await.status, 412);
    // What somebody may do changes with it at once.
    assert_eq!(viewer.post("/api/v1/projects", &json!({"name": "Garden"})).await.status, 201);
    let event = "SELECT resource_id || changes::text FROM audit_events WHERE action = 'member.update'";
    assert_eq!(
        stage.servers.sql(event, "app"),
        format!("{}{{\"role\": [\"viewer\", \"member\"]}}", viewer.id)
    );
    assert_eq!(admin.get(&member(&stage, seed::id())).await.status, 404);
    assert_eq!(admin.patch(&member(&stage, seed::id()), "*", &json!({"role": "viewer"})).await.status, 404);
    assert_eq!(admin.patch(&path, "*", &json!({"role": "emperor"})).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn nobody_gives_or_changes_a_role_above_their_own() {
    let stage = Stage::new().await;
    let owner = stage.person("ada", "owner").await;
    let (admin, other) = (stage.person("bob", "admin").await, stage.person("cyd", "admin").await);
    let member_ = stage.person("dan", "member").await;
    let too_high = (403, "role-too-high".to_owned());
    assert_eq!(change(&admin, &stage, member_.id, "owner").await, too_high);
    assert_eq!(change(&admin, &stage, admin.id, "owner").await, too_high, "not oneself either");
    assert_eq!(change(&admin, &stage, owner.id, "viewer").await, too_high);
    assert_eq!(admin.delete(&member(&stage, owner.id), "*").await.json()["code"], "role-too-high");
    assert_eq!(change(&admin, &stage, member_.id, "admin").await.0, 200);
    assert_eq!(change(&admin, &stage, other.id, "viewer").await.0, 200, "one's equal");
    assert_eq!(change(&owner, &stage, other.id, "owner").await.0, 200);
    assert_eq!(admin.delete(&member(&stage, member_.id), "*").await.status, 204);
    assert_eq!(roles(&stage), "ada owner, bob admin, cyd owner");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_token_never_gives_more_than_it_has() {
    let stage = Stage::new().await;
    let (owner, admin) = (stage.person("ada", "owner").await, stage.person("bob", "admin").await);
    let viewer = stage.person("cyd", "viewer").await;
    let too_high = (403, "role-too-high".to_owned());
    let all = stage.agent(seed::ALL_SCOPES);
    assert_eq!(change(&all, &stage, viewer.id, "admin").await, too_high);
    assert_eq!(change(&all, &stage, viewer.id, "owner").await, too_high);
    assert_eq!(
        change(&all, &stage, admin.id, "viewer").await,
        too_high,
        "it does not judge those who manage"
    );
    assert_eq!(all.delete(&member(&stage, owner.id), "*").await.json()["code"], "role-too-high");
    let narrow = stage.agent(&["members:write"]);
    assert_eq!(change(&narrow, &stage, viewer.id, "member").await, too_high, "a member writes tasks");
    assert_eq!(change(&all, &stage, viewer.id, "member").await.0, 200);
    let scopes = seed::ALL_SCOPES;
    let restricted =
        seed::token_within(&stage.servers, stage.organization, scopes, Some(&[stage.organization]));
    assert_eq!(change(&stage.caller(restricted), &stage, viewer.id, "viewer").await, too_high);
    let reader = stage.agent(&["members:read"]);
    assert_eq!(change(&reader, &stage, viewer.id, "viewer").await.1, "insufficient-scope");
    assert_eq!(reader.delete(&member(&stage, viewer.id), "*").await.status, 403);
    assert_eq!(narrow.delete(&member(&stage, viewer.id), "*").await.status, 204);
    assert_eq!(roles(&stage), "ada owner, bob admin");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn everybody_may_leave_but_the_last_owner() {
    let stage = Stage::new().await;
    let (owner, viewer) = (stage.person("ada", "owner").await, stage.person("bob", "viewer").await);
    let last = owner.delete(&member(&stage, owner.id), "*").await;
    assert_eq!((last.status.as_u16(), last.json()["code"].as_str()), (409, Some("last-owner")));
    assert_eq!(change(&owner, &stage, owner.id, "admin").await, (409, "last-owner".to_owned()));
    assert_eq!(viewer.delete(&member(&stage, owner.id), "*").await.status, 403);
    let path = member(&stage, viewer.id);
    assert_eq!(viewer.send(axum::http::Method::DELETE, &path, &[], None).await.status, 428);
    let tag = viewer.get(&path).await.header("etag").to_owned();
    assert_eq!(viewer.delete(&path, &tag).await.status, 204);
    assert_eq!(viewer.get("/api/v1/projects").await.status, 403, "nothing is theirs any more");
    assert_eq!(owner.get(&path).await.status, 404);
    assert_eq!(stage.count(&format!("people WHERE id = '{}' AND left_at IS NOT NULL", viewer.id)), "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_owner_remains_however_many_leave_at_once() {
    let stage = Stage::new().await;
    let first = stage.person("ada", "owner").await;
    for round in 0..8 {
        let others = [
            stage.person(&format!("bob {round}"), "owner").await,
            stage.person(&format!("cyd {round}"), "owner").await,
        ];
        let (one, two, three) =
            (member(&stage, first.id), member(&stage, others[0].id), member(&stage, others[1].id));
        // Each leaves, removes another or steps down, at the same time.
        let down = json!({"role": "member"});
        let (a, b, c) = tokio::join!(
            first.patch(&one, "*", &down),
            others[0].delete(&two, "*"),
            others[1].delete(&three, "*"),
        );
        let statuses = [a.status.as_u16(), b.status.as_u16(), c.status.as_u16()];
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 1, "{statuses:?}");
        assert_eq!(stage.count("memberships WHERE role = 'owner'"), "1", "round {round}");
        // Again with the first as the only one.
        stage.servers.sql(
            &format!(
                "UPDATE memberships SET role = 'owner' WHERE person_id = '{first}'; \
                 DELETE FROM memberships WHERE person_id <> '{first}'",
                first = first.id
            ),
            "app",
        );
    }
    let rivals = stage.person("dan", "owner").await;
    let (one, two) = (member(&stage, first.id), member(&stage, rivals.id));
    let (a, b) = tokio::join!(first.delete(&two, "*"), rivals.delete(&one, "*"));
    let statuses = [a.status.as_u16(), b.status.as_u16()];
    assert!(statuses.contains(&204) && statuses.contains(&403), "{statuses:?}");
    assert_eq!(stage.count("memberships WHERE role = 'owner'"), "1");
}
