//! Agents: made, changed and deleted, and what their end means for their tokens.

use serde_json::json;

use crate::stage::{Caller, Stage};
use crate::support::seed::ALL_SCOPES;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_agent_is_made_read_changed_and_deleted() {
    let stage = Stage::new().await;
    let admin = stage.person("ada", "admin").await;
    let made =
        admin.post("/api/v1/agents", &json!({"name": " Release bot ", "description": "Releases."})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let agent = made.json();
    assert_eq!((&agent["name"], &agent["version"]), (&json!("Release bot"), &json!(1)));
    let path = made.header("location").to_owned();
    assert_eq!(path, format!("/api/v1/agents/{}", agent["id"].as_str().unwrap()));
    let read = admin.get(&path).await;
    assert_eq!((read.json(), read.header("etag")), (agent.clone(), made.header("etag")));
    let known = admin.send(axum::http::Method::GET, &path, &[("if-none-match", "\"v1\"")], None).await;
    assert_eq!(known.status, 304);
    let listed = admin.get("/api/v1/agents?limit=1").await.json();
    assert_eq!((&listed["items"][0], &listed["next_cursor"]), (&agent, &json!(null)));

    let changed = admin.patch(&path, "\"v1\"", &json!({"description": ""})).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, "\"v2\""), "{}", changed.text);
    assert_eq!(admin.patch(&path, "\"v1\"", &json!({"name": "Other"})).await.status, 412);
    let unconditional = admin.send(axum::http::Method::DELETE, &path, &[], None).await;
    assert_eq!(unconditional.status, 428, "{}", unconditional.text);
    for (body, pointer) in [(json!({"name": ""}), "/name"), (json!({"name": "x", "nme": "y"}), "/nme")] {
        let refused = admin.post("/api/v1/agents", &body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["errors"][0]["pointer"]),
            (422, &json!(pointer))
        );
    }

    assert_eq!(admin.delete(&path, "\"v2\"").await.status, 204);
    assert_eq!(admin.get(&path).await.status, 404);
    assert_eq!(admin.delete(&path, "*").await.status, 404);
    let audited =
        "SELECT string_agg(action || ':' || actor_kind, ' ' ORDER BY occurred_at, id) FROM audit_events";
    assert_eq!(
        stage.servers.sql(audited, "app"),
        "agent.create:person agent.update:person agent.delete:person"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn only_who_may_sees_and_changes_agents() {
    let stage = Stage::new().await;
    let admin = stage.person("ada", "admin").await;
    let path = admin.post("/api/v1/agents", &json!({"name": "bot"})).await.header("location").to_owned();
    let (member, viewer) = (stage.person("mel", "member").await, stage.person("vic", "viewer").await);
    assert_eq!(
        (member.get(&path).await.status.as_u16(), viewer.get(&path).await.status.as_u16()),
        (200, 403)
    );
    assert_eq!(member.post("/api/v1/agents", &json!({"name": "mine"})).await.status, 403);
    let stranger = stage.stranger();
    assert_eq!(stranger.get(&path).await.status, 404);
    assert_eq!(stranger.patch(&path, "*", &json!({"name": "mine"})).await.status, 404);
    assert_eq!(stranger.delete(&path, "*").await.status, 404);
    let minted =
        stranger.post(&format!("{path}/tokens"), &json!({"name": "t", "scopes": ["tasks:read"]})).await;
    assert_eq!(minted.status, 404, "{}", minted.text);
    assert_eq!(stranger.get("/api/v1/agents").await.json()["items"].as_array().unwrap().len(), 1, "its own");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_agent_s_end_is_that_of_its_tokens_and_of_what_they_minted() {
    let stage = Stage::new().await;
    let owner = stage.agent(ALL_SCOPES);
    let make = async |name: &str| {
        let made = owner.post("/api/v1/agents", &json!({"name": name})).await;
        made.header("location").to_owned()
    };
    let (doomed, other) = (make("doomed").await, make("other").await);
    let wanted = json!({"name": "t", "scopes": ["tasks:read", "tokens:write"]});
    let parent = owner.post(&format!("{doomed}/tokens"), &wanted).await.json();
    let parent = stage.caller(parent["secret"].as_str().unwrap().to_owned());
    // Minted by the doomed agent's token, for another agent.
    let child = parent.post(&format!("{other}/tokens"), &wanted).await;
    assert_eq!(child.status, 201, "{}", child.text);
    let child = stage.caller(child.json()["secret"].as_str().unwrap().to_owned());
    assert_eq!(child.get("/api/v1/tasks").await.status, 200);

    assert_eq!(owner.delete(&doomed, "*").await.status, 204);
    for caller in [&parent, &child] {
        let refused = caller.get("/api/v1/tasks").await;
        assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (401, &json!("bad-credentials")));
    }
    assert_eq!(owner.get(&other).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn agents_are_bounded_also_when_many_are_made_at_once() {
    let stage = Stage::new().await;
    let token = crate::support::seed::token(&stage.servers, stage.organization, ALL_SCOPES);
    let fill = format!(
        "INSERT INTO agents (id, organization_id, name, created_at, created_by, updated_at) \
         SELECT gen_random_uuid(), '{}', 'bot', now(), gen_random_uuid(), now() FROM generate_series(1, 198)",
        stage.organization
    );
    stage.servers.sql(&fill, "app");
    let caller = Caller::of(&stage.application, &token);
    let bot = json!({"name": "bot"});
    let statuses = tokio::join!(
        caller.post("/api/v1/agents", &bot),
        caller.post("/api/v1/agents", &bot),
        caller.post("/api/v1/agents", &bot),
    );
    let mut statuses = [statuses.0.status.as_u16(), statuses.1.status.as_u16(), statuses.2.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
    let refused = caller.post("/api/v1/agents", &bot).await.json();
    assert_eq!((&refused["code"], &refused["limit"]), (&json!("quota-reached"), &json!(200)));
}
