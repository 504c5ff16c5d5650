//! Webhooks: what is delivered, how it is signed, and where nothing is delivered to.

use std::time::{Duration, Instant};

use axum::http::Method;
use foundation::testing::servers::{Servers, wait_until};
use serde_json::{Value, json};

use crate::stage::{Caller, Stage};
use crate::support::application::Answer;
use crate::support::receiver::Receiver;
use crate::support::seed::{self, ALL_SCOPES};

/// An application that may deliver to this machine.
async fn stage() -> (Stage, Receiver) {
    let here = ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.1/32".to_owned());
    let stage = Stage::on(Servers::start(), &[here]).await;
    let receiver = Receiver::start(&stage.servers).await;
    (stage, receiver)
}

async fn make(caller: &Caller<'_>, url: &str, events: &[&str]) -> Value {
    let made = caller.post("/api/v1/webhooks", &json!({"url": url, "events": events})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

async fn project(caller: &Caller<'_>) -> Value {
    let made = caller.post("/api/v1/projects", &json!({"name": "Garden"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} of {value}"))
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), text(&answer.json(), "code").to_owned())
}

fn path_of(webhook: &Value) -> String {
    format!("/api/v1/webhooks/{}", text(webhook, "id"))
}

/// Asks until what `path` shows is as wanted.
async fn until(caller: &Caller<'_>, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let shown = caller.get(path).await.json();
        if wanted(&shown) {
            return shown;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "still {shown}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The one delivery to a webhook, once it stands there.
async fn delivery(caller: &Caller<'_>, webhook: &Value, state: &str) -> Value {
    let path = format!("{}/deliveries", path_of(webhook));
    let listed = until(caller, &path, |page| page["items"][0]["state"] == state).await;
    let path = format!("/api/v1/deliveries/{}", text(&listed["items"][0], "id"));
    caller.get(&path).await.json()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_happens_is_delivered_signed_tried_again_logged_and_sent_again() {
    let (stage, receiver) = stage().await;
    let owner = stage.agent(ALL_SCOPES);
    let made = owner
        .send(
            Method::POST,
            "/api/v1/webhooks",
            &[("idempotency-key", "w-1")],
            Some(&json!({"url": receiver.url("/in?room=1"), "events": ["project.created"]})),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let webhook = made.json();
    let secret = text(&webhook, "secret").to_owned();
    receiver.answer(&[500]);
    let project = project(&owner).await;
    // Nobody wants this one.
    let task = owner.post("/api/v1/tasks", &json!({"project_id": project["id"], "title": "Water"})).await;
    assert_eq!(task.status, 201);

    receiver.wait_for(1).await;
    let path = format!("{}/deliveries?state=pending", path_of(&webhook));
    let waiting = until(&owner, &path, |page| page["items"][0]["last_status"] == 500).await;
    let next = text(&waiting["items"][0], "next_attempt_at");
    assert!(next > text(&waiting["items"][0], "last_attempt_at"), "{waiting}");
    let id = text(&waiting["items"][0], "id").to_owned();
    let early = owner.post(&format!("/api/v1/deliveries/{id}/replays"), &json!({})).await;
    assert_eq!(code(&early), (409, "delivery-pending".to_owned()));
    assert!(owner.get(&path_of(&webhook)).await.json()["failing_since"].is_string());

    let received = receiver.wait_for(2).await;
    let delivered = delivery(&owner, &webhook, "delivered").await;
    assert_eq!((delivered["attempt_count"].as_i64(), delivered["next_attempt_at"].as_str()), (Some(2), None));
    let statuses: Vec<_> =
        delivered["attempts"].as_array().unwrap().iter().map(|attempt| attempt["status"].clone()).collect();
    assert_eq!(statuses, [json!(200), json!(500)], "the latest first");
    assert_eq!(delivered["attempts"][0]["excerpt"], "noted");
    assert!(owner.get(&path_of(&webhook)).await.json()["failing_since"].is_null());
    for sent in &received {
        assert_eq!((sent.path.as_str(), sent.header("content-type")), ("/in?room=1", "application/json"));
        assert_eq!(sent.signatures_by(&secret), 1);
        assert_eq!(sent.header("webhook-id"), text(&delivered, "event_id"));
        let event = sent.json();
        assert_eq!(event, delivered["payload"]);
        assert_eq!((&event["type"], &event["data"]["id"]), (&json!("project.created"), &project["id"]));
    }
    assert_ne!(received[0].header("webhook-timestamp"), received[1].header("webhook-timestamp"));
    let tampered = {
        let mut sent = received[0].clone();
        sent.body = sent.body.replace("Garden", "Gardem");
        sent
    };
    assert_eq!(tampered.signatures_by(&secret), 0);

    let replayed = owner.post(&format!("/api/v1/deliveries/{id}/replays"), &json!({})).await;
    assert_eq!(
        (replayed.status.as_u16(), &replayed.json()["state"]),
        (202, &json!("pending")),
        "{}",
        replayed.text
    );
    assert_eq!(replayed.header("location"), format!("/api/v1/deliveries/{id}"));
    let again = receiver.wait_for(3).await;
    assert_eq!(
        (again[2].header("webhook-id"), &again[2].body),
        (again[0].header("webhook-id"), &again[0].body)
    );
    assert_eq!(again[2].signatures_by(&secret), 1);
    assert_eq!(delivery(&owner, &webhook, "delivered").await["attempt_count"], 3);

    // The secret is shown once, and again for its key alone.
    let repeated = owner
        .send(
            Method::POST,
            "/api/v1/webhooks",
            &[("idempotency-key", "w-1")],
            Some(&json!({"url": receiver.url("/in?room=1"), "events": ["project.created"]})),
        )
        .await;
    assert_eq!((repeated.text, repeated.headers.contains_key("idempotency-replayed")), (made.text, true));
    for path in ["/api/v1/webhooks", &path_of(&webhook)] {
        assert!(!owner.get(path).await.text.contains("secret"), "{path}");
    }
    let everything = "SELECT string_agg(query_to_xml(format('SELECT * FROM %I', tablename), true, true, '')::text, '') \
                      FROM pg_tables WHERE schemaname = 'public'";
    assert!(!stage.servers.sql(everything, "app").contains(&secret["whsec_".len()..]));
    let stranger = stage.stranger();
    for path in
        [path_of(&webhook), format!("{}/deliveries", path_of(&webhook)), format!("/api/v1/deliveries/{id}")]
    {
        assert_eq!(stranger.get(&path).await.status, 404, "{path}");
    }
    for path in [format!("/api/v1/deliveries/{id}/replays"), format!("{}/tests", path_of(&webhook))] {
        assert_eq!(stranger.post(&path, &json!({})).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn secrets_change_over_with_an_overlap_and_without() {
    let (stage, receiver) = stage().await;
    let owner = stage.agent(ALL_SCOPES);
    let webhook = make(&owner, &receiver.url("/"), &["task.deleted"]).await;
    let (secrets, tests) = (format!("{}/secrets", path_of(&webhook)), format!("{}/tests", path_of(&webhook)));
    let rotate = async |overlap: u32| {
        let rotated = owner.post(&secrets, &json!({"overlap_seconds": overlap})).await;
        assert_eq!(rotated.status, 200, "{}", rotated.text);
        text(&rotated.json(), "secret").to_owned()
    };
    let mut sent = 0;
    let mut signed_by = async |secrets: &[&String]| {
        let tried = owner.post(&tests, &json!({})).await;
        assert_eq!(tried.status, 202, "{}", tried.text);
        sent += 1;
        let received = receiver.wait_for(sent).await;
        let last = received.last().unwrap();
        assert_eq!(last.json()["type"], "webhook.test", "whatever it wants");
        let signatures = last.header("webhook-signature").split(' ').count();
        (signatures, secrets.iter().map(|secret| last.signatures_by(secret)).collect::<Vec<_>>())
    };
    let first = text(&webhook, "secret").to_owned();
    assert_eq!(signed_by(&[&first]).await, (1, vec![1]));
    let second = rotate(600).await;
    assert_eq!(signed_by(&[&first, &second]).await, (2, vec![1, 1]));
    let third = rotate(0).await;
    assert_eq!(
        signed_by(&[&first, &second, &third]).await,
        (2, vec![1, 0, 1]),
        "the first one's overlap goes on"
    );
    for _ in 0..5 {
        rotate(600).await;
    }
    assert_eq!(signed_by(&[&first]).await, (3, vec![0]), "no more than three sign");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn nothing_is_delivered_to_what_only_this_server_can_reach() {
    let (stage, receiver) = stage().await;
    let owner = stage.agent(ALL_SCOPES);
    let elsewhere = stage.another(&[("WORKERS", "none")]).await;
    let token = seed::token(&stage.servers, stage.organization, ALL_SCOPES);
    let strict = Caller::of(&elsewhere, &token);
    for (url, pointer) in [
        (receiver.url("/"), "/url"),
        ("https://10.0.0.4:6432/".to_owned(), "/url"),
        ("https://192.168.1.1/".to_owned(), "/url"),
        ("https://169.254.169.254/latest/meta-data/".to_owned(), "/url"),
        ("https://[::1]/".to_owned(), "/url"),
        ("https://[fd00::1]/".to_owned(), "/url"),
        ("https://[fe80::1]/".to_owned(), "/url"),
        ("https://[::ffff:127.0.0.1]/".to_owned(), "/url"),
        ("https://2130706433/".to_owned(), "/url"),
        ("https://0x7f.1/".to_owned(), "/url"),
        ("http://hooks.example.com/".to_owned(), "/url"),
        ("https://user:password@hooks.example.com/".to_owned(), "/url"),
        ("ftp://hooks.example.com/".to_owned(), "/url"),
        ("nonsense".to_owned(), "/url"),
    ] {
        let refused = strict.post("/api/v1/webhooks", &json!({"url": url})).await;
        assert_eq!(code(&refused), (422, "validation-failed".to_owned()), "{url}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{url}");
    }
    // By a name it is known only when it is delivered: the name has another address that is not allowed.
    let port = receiver.port();
    let named = make(&owner, &format!("https://localhost:{port}/"), &["project.created"]).await;
    let redirected = make(&owner, &receiver.url("/redirected"), &["project.updated"]).await;
    assert_eq!(owner.post(&format!("{}/tests", path_of(&named)), &json!({})).await.status, 202);
    let refused = delivery(&owner, &named, "failed").await;
    assert_eq!(refused["attempts"][0]["error"], "the address is not one of the public Internet", "{refused}");

    let inner = Receiver::start(&stage.servers).await;
    receiver.redirect(inner.url("/inner"));
    assert_eq!(owner.post(&format!("{}/tests", path_of(&redirected)), &json!({})).await.status, 202);
    let refused = delivery(&owner, &redirected, "failed").await;
    assert_eq!(refused["attempts"][0]["status"], 307, "{refused}");
    assert_eq!((receiver.all().len(), inner.all().len()), (1, 0), "a redirect is not followed");

    // What was allowed once is asked again at each delivery.
    let loopback = make(&owner, &receiver.url("/"), &["task.deleted"]).await;
    let sql = format!(
        "UPDATE webhook_endpoints SET url = 'https://127.0.0.2:{port}/' WHERE id = '{}'",
        text(&loopback, "id")
    );
    stage.servers.sql(&sql, "app");
    assert_eq!(owner.post(&format!("{}/tests", path_of(&loopback)), &json!({})).await.status, 202);
    let refused = delivery(&owner, &loopback, "failed").await;
    assert_eq!(refused["attempts"][0]["error"], "the address is not one of the public Internet", "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_receiver_that_is_gone_is_disabled_and_can_be_enabled_again() {
    let (stage, receiver) = stage().await;
    let owner = stage.agent(ALL_SCOPES);
    let gone = make(&owner, &receiver.url("/gone"), &["project.created"]).await;
    let told = make(&owner, &receiver.url("/told"), &["webhook.disabled"]).await;
    receiver.answer(&[410]);
    project(&owner).await;
    let shown = until(&owner, &path_of(&gone), |webhook| webhook["enabled"] == json!(false)).await;
    assert_eq!(shown["disabled_reason"], "gone");
    let received = receiver.wait_for(2).await;
    let event = received[1].json();
    assert_eq!((received[1].path.as_str(), &event["type"]), ("/told", &json!("webhook.disabled")));
    assert_eq!(received[1].signatures_by(text(&told, "secret")), 1);
    assert_eq!((&event["data"]["endpoint_id"], &event["data"]["reason"]), (&gone["id"], &json!("gone")));

    let failed = delivery(&owner, &gone, "failed").await;
    let replay = format!("/api/v1/deliveries/{}/replays", text(&failed, "id"));
    for path in [&replay, &format!("{}/tests", path_of(&gone))] {
        assert_eq!(code(&owner.post(path, &json!({})).await), (409, "webhook-disabled".to_owned()), "{path}");
    }
    project(&owner).await;
    // What happens while it is disabled is not told to it, once it has been looked at.
    wait_until("the event to be looked at", || {
        stage.count("jobs WHERE kind = 'webhook.dispatch' AND finished_at IS NULL") == "0"
    });
    let stale = owner.patch(&path_of(&gone), "\"v1\"", &json!({"enabled": true})).await;
    assert_eq!(stale.status, 412, "it was disabled meanwhile");
    let tag = owner.get(&path_of(&gone)).await.header("etag").to_owned();
    let enabled =
        owner.patch(&path_of(&gone), &tag, &json!({"enabled": true, "url": receiver.url("/back")})).await;
    assert_eq!(
        (enabled.status.as_u16(), &enabled.json()["enabled"]),
        (200, &json!(true)),
        "{}",
        enabled.text
    );
    assert_eq!(
        (&enabled.json()["disabled_reason"], &enabled.json()["failing_since"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(owner.post(&replay, &json!({})).await.status, 202);
    let received = receiver.wait_for(3).await;
    assert_eq!(
        (received[2].path.as_str(), received[2].header("webhook-id")),
        ("/back", text(&failed, "event_id"))
    );
    let dead = "jobs WHERE dead_at IS NOT NULL";
    assert_eq!(stage.count(dead), "0", "what a receiver refuses is nothing for the operator");

    let off = owner.patch(&path_of(&told), "*", &json!({"enabled": false})).await;
    assert_eq!(
        (&off.json()["enabled"], &off.json()["disabled_reason"]),
        (&json!(false), &json!("requested"))
    );
    assert_eq!(owner.delete(&path_of(&told), off.header("etag")).await.status, 204);
    assert_eq!(stage.count("webhook_secrets"), "1", "its secrets go with it");
    let audited = "SELECT string_agg(action, ' ' ORDER BY occurred_at, id) FROM audit_events WHERE action LIKE 'webhook%' \
                   OR action LIKE 'delivery%'";
    assert_eq!(
        stage.servers.sql(audited, "app"),
        "webhook.create webhook.create webhook.disable webhook.update delivery.replay webhook.update webhook.delete"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn webhooks_are_for_who_may_and_are_bounded() {
    let (stage, receiver) = stage().await;
    let (admin, member) = (stage.person("ada", "admin").await, stage.person("mel", "member").await);
    let webhook = make(&admin, &receiver.url("/?key=hunter2"), &[]).await;
    for path in [&path_of(&webhook), "/api/v1/webhooks"] {
        assert_eq!(member.get(path).await.status, 403);
    }
    let reader = stage.agent(&["webhooks:read"]);
    assert_eq!(reader.get(&path_of(&webhook)).await.status, 200);
    assert_eq!(reader.post(&format!("{}/secrets", path_of(&webhook)), &json!({})).await.status, 403);
    assert!(
        !stage
            .servers
            .sql("SELECT string_agg(changes::text, '') FROM audit_events", "app")
            .contains("hunter2"),
        "what stands in a query is often a secret"
    );
    let url = receiver.url("/");
    for (body, pointer) in [
        (json!({}), "/url"),
        (json!({"url": url, "events": ["task.eaten"]}), "/events/0"),
        (json!({"url": url, "events": "task.created"}), "/events"),
        (json!({"url": format!("{url}{}", "a".repeat(2_000))}), "/url"),
        (json!({"url": url, "description": 1}), "/description"),
    ] {
        let refused = admin.post("/api/v1/webhooks", &body).await;
        assert_eq!(code(&refused), (422, "validation-failed".to_owned()), "{body}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
    }
    for _ in 1..20 {
        make(&admin, &url, &["task.deleted"]).await;
    }
    let refused = admin.post("/api/v1/webhooks", &json!({"url": url})).await;
    assert_eq!((code(&refused), &refused.json()["limit"]), ((409, "quota-reached".to_owned()), &json!(20)));
    let first = admin.get("/api/v1/webhooks?limit=15").await.json();
    let rest =
        admin.get(&format!("/api/v1/webhooks?limit=15&cursor={}", text(&first, "next_cursor"))).await.json();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (5, &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_organization_that_is_deleted_says_nothing_any_more() {
    let (mut stage, receiver) = stage().await;
    let owner = stage.agent(ALL_SCOPES);
    make(&owner, &receiver.url("/"), &["project.created"]).await;
    // One delivery waits for its next attempt, and one event for being looked at, when it is deleted.
    receiver.answer(&[500]);
    project(&owner).await;
    receiver.wait_for(1).await;
    stage.without_workers().await;
    project(&stage.caller(seed::token(&stage.servers, stage.organization, ALL_SCOPES))).await;
    stage.servers.sql("UPDATE organizations SET deleted_at = now() WHERE name = 'first'", "app");
    stage.servers.sql("UPDATE jobs SET run_at = now(), feed_at = now() WHERE feed_at IS NOT NULL", "app");
    let worker = stage.another(&[("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.1/32")]).await;
    wait_until("every job to be finished", || {
        stage.count("jobs WHERE kind LIKE 'webhook.d%' AND finished_at IS NULL") == "0"
    });
    drop(worker);
    assert_eq!(receiver.all().len(), 1, "nothing after the deletion");
    assert_eq!(stage.count("webhook_deliveries"), "1");
}
