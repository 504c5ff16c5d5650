//! Tokens: what they allow, how they end, and that nobody widens one.

use std::time::{Duration, Instant};

use axum::http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::stage::{Caller, Stage};
use crate::support::application::Answer;
use crate::support::seed::{self, ALL_SCOPES};

/// An owner's agent, and the path of the tokens of an agent that it has made.
async fn agent(owner: &Caller<'_>) -> String {
    let made = owner.post("/api/v1/agents", &json!({"name": "bot"})).await;
    format!("{}/tokens", made.header("location"))
}

async fn mint(maker: &Caller<'_>, tokens: &str, scopes: &[&str]) -> Value {
    let minted = maker.post(tokens, &json!({"name": "t", "scopes": scopes})).await;
    assert_eq!(minted.status, 201, "{}", minted.text);
    minted.json()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap()
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), text(&answer.json(), "code").to_owned())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// Asks until the answer has this status, and says how long that took.
async fn until(caller: &Caller<'_>, path: &str, status: u16) -> Duration {
    let started = Instant::now();
    loop {
        let answer = caller.get(path).await;
        if answer.status == status {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(20), "still {}: {}", answer.status, answer.text);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_secret_is_shown_once_and_again_only_for_its_key() {
    let stage = Stage::new().await;
    let owner = stage.agent(ALL_SCOPES);
    let tokens = agent(&owner).await;
    let wanted =
        json!({"name": "nightly", "scopes": ["tasks:read", "tasks:read"], "addresses": ["127.0.0.1"]});
    let keyed =
        async || owner.send(Method::POST, &tokens, &[("idempotency-key", "k-1")], Some(&wanted)).await;
    let minted = keyed().await;
    assert_eq!(minted.status, 201, "{}", minted.text);
    assert_eq!(minted.header("cache-control"), "no-store");
    let (token, secret) = (minted.json(), text(&minted.json(), "secret").to_owned());
    assert!(secret.starts_with("bst_") && secret.ends_with(text(&token, "hint")));
    assert_eq!((&token["scopes"], &token["addresses"]), (&json!(["tasks:read"]), &json!(["127.0.0.1/32"])));
    let again = keyed().await;
    assert_eq!((&again.text, again.header("idempotency-replayed")), (&minted.text, "true"));
    assert_eq!(again.header("cache-control"), "no-store");

    // Another token of the same agent may be allowed less than what the answer holds.
    let me = owner.get("/api/v1/me").await.json()["id"].as_str().unwrap().to_owned();
    let other = mint(&owner, &format!("/api/v1/agents/{me}/tokens"), &["tasks:read", "tokens:write"]).await;
    let other = stage.caller(text(&other, "secret").to_owned());
    let refused = other.send(Method::POST, &tokens, &[("idempotency-key", "k-1")], Some(&wanted)).await;
    assert_eq!(code(&refused), is(422, "idempotency-key-reused"));

    let path = minted.header("location").to_owned();
    let shown = owner.get(&path).await;
    assert_eq!(shown.status, 200);
    let agent_id = text(&token, "agent_id");
    let listed = owner.get(&format!("/api/v1/tokens?agent_id={agent_id}")).await;
    assert_eq!(listed.json()["items"], json!([shown.json()]));
    for answer in [&shown, &listed] {
        assert!(!answer.text.contains("secret") && !answer.text.contains(&secret), "{}", answer.text);
    }
    let kept = "SELECT string_agg(encode(body, 'escape'), ' ') FROM idempotency_keys";
    let everything = "SELECT string_agg(query_to_xml(format('SELECT * FROM %I', tablename), true, true, '')::text, '') \
                      FROM pg_tables WHERE schemaname = 'public'";
    for place in [kept, everything] {
        assert!(
            !stage.servers.sql(place, "app").contains(&secret[4..]),
            "the secret is in the database: {place}"
        );
    }
    assert_eq!(stage.caller(secret).get("/api/v1/tasks").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_token_reads_what_it_may_and_writes_nothing_else() {
    let stage = Stage::new().await;
    let owner = stage.agent(ALL_SCOPES);
    let project = |name: &str| json!({"name": name});
    let mine = owner.post("/api/v1/projects", &project("mine")).await;
    let other = owner.post("/api/v1/projects", &project("other")).await;
    for of in [&mine, &other] {
        let task = json!({"project_id": of.json()["id"], "title": "Water"});
        assert_eq!(owner.post("/api/v1/tasks", &task).await.status, 201);
    }
    let tokens = agent(&owner).await;
    let reader = mint(&owner, &tokens, &["tasks:read"]).await;
    let reader = stage.caller(text(&reader, "secret").to_owned());
    assert_eq!(reader.get("/api/v1/tasks").await.json()["items"].as_array().unwrap().len(), 2);
    let refused = reader.get("/api/v1/projects").await;
    assert_eq!(code(&refused), is(403, "insufficient-scope"));
    assert!(
        refused.header("www-authenticate").contains("projects:read"),
        "{}",
        refused.header("www-authenticate")
    );
    let write = json!({"project_id": mine.json()["id"], "title": "Mine"});
    assert_eq!(code(&reader.post("/api/v1/tasks", &write).await), is(403, "insufficient-scope"));

    let wanted = json!({"name": "t", "scopes": ["tasks:read", "tasks:write", "projects:read", "projects:write"],
                        "resources": [mine.json()["id"]]});
    let narrow = owner.post(&tokens, &wanted).await;
    assert_eq!(narrow.status, 201, "{}", narrow.text);
    let narrow = stage.caller(text(&narrow.json(), "secret").to_owned());
    assert_eq!(narrow.get("/api/v1/tasks").await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(narrow.get(mine.header("location")).await.status, 200);
    assert_eq!(narrow.get(other.header("location")).await.status, 404);
    let into_other = json!({"project_id": other.json()["id"], "title": "Mine"});
    assert_eq!(narrow.post("/api/v1/tasks", &into_other).await.status, 404);
    assert_eq!(code(&narrow.post("/api/v1/projects", &project("new")).await), is(403, "insufficient-scope"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_token_mints_nothing_that_is_wider_than_itself() {
    let stage = Stage::new().await;
    let owner = stage.agent(ALL_SCOPES);
    let tokens = agent(&owner).await;
    let agent_id = tokens.split('/').nth(4).unwrap();
    let wanted = json!({
        "name": "narrow", "scopes": ["tasks:read", "tokens:write"], "resources": [agent_id],
        "addresses": ["127.0.0.0/8"], "expires_at": "2999-01-01T00:00:00Z",
    });
    assert_eq!(code(&owner.post(&tokens, &wanted).await), is(422, "invalid-token-request"), "within a year");
    let mut wanted = wanted;
    wanted.as_object_mut().unwrap().remove("expires_at");
    let narrow = owner.post(&tokens, &wanted).await;
    assert_eq!(narrow.status, 201, "{}", narrow.text);
    let ends = narrow.json()["expires_at"].clone();
    let narrow = stage.caller(text(&narrow.json(), "secret").to_owned());

    let same = narrow.post(&tokens, &wanted).await;
    assert_eq!(
        (same.status.as_u16(), &same.json()["expires_at"]),
        (201, &ends),
        "it does not outlive its maker"
    );
    for (member, value, pointer) in [
        ("scopes", json!(["tasks:write"]), "/scopes"),
        ("resources", json!(null), "/resources"),
        ("resources", json!([agent_id, seed::id().to_string()]), "/resources"),
        ("addresses", json!(null), "/addresses"),
        ("addresses", json!(["0.0.0.0/0"]), "/addresses"),
    ] {
        let mut wider = wanted.clone();
        wider[member] = value;
        let refused = narrow.post(&tokens, &wider).await;
        assert_eq!(code(&refused), is(403, "token-too-wide"), "{member}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
    }
    for (member, value, pointer) in [
        ("scopes", json!(["tasks:read", "tasks:admin"]), "/scopes/1"),
        ("scopes", json!(["planets:read"]), "/scopes/0"),
        ("scopes", json!("tasks:read"), "/scopes"),
        ("addresses", json!(["nowhere"]), "/addresses/0"),
        ("expires_at", json!("tomorrow"), "/expires_at"),
        ("name", json!(""), "/name"),
    ] {
        let mut bad = wanted.clone();
        bad[member] = value;
        let refused = owner.post(&tokens, &bad).await;
        assert_eq!(code(&refused), is(422, "validation-failed"), "{member}: {}", refused.text);
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
    }
    for (member, value) in
        [("scopes", json!([])), ("resources", json!([])), ("expires_at", json!("2020-01-01T00:00:00Z"))]
    {
        let mut bad = wanted.clone();
        bad[member] = value;
        assert_eq!(code(&owner.post(&tokens, &bad).await), is(422, "invalid-token-request"), "{member}");
    }
    // An admin has not the scopes of an owner.
    let admin = stage.person("ada", "admin").await;
    let refused = admin.post(&tokens, &json!({"name": "t", "scopes": ["organizations:write"]})).await;
    assert_eq!(code(&refused), is(403, "token-too-wide"));
    // A wider token is not to be had by rotating somebody else's, or one outside one's resources.
    let wide = mint(&owner, &tokens, &["tasks:write"]).await;
    let rotated = narrow.post(&format!("/api/v1/tokens/{}/rotations", text(&wide, "id")), &json!({})).await;
    assert_eq!(code(&rotated), is(403, "token-too-wide"), "{}", rotated.text);
    let elsewhere = mint(&owner, &agent(&owner).await, &["tasks:read"]).await;
    let path = format!("/api/v1/tokens/{}", text(&elsewhere, "id"));
    assert_eq!(narrow.post(&format!("{path}/rotations"), &json!({})).await.status, 404);
    assert_eq!(narrow.send(Method::DELETE, &path, &[], None).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_token_works_only_from_the_networks_it_names() {
    let stage = Stage::new().await;
    let owner = stage.agent(ALL_SCOPES);
    let wanted =
        json!({"name": "t", "scopes": ["tasks:read"], "addresses": ["192.0.2.0/24", "2001:db8::/32"]});
    let minted = owner.post(&agent(&owner).await, &wanted).await.json();
    let secret = text(&minted, "secret");
    let here = stage.caller(secret.to_owned());
    assert_eq!(code(&here.get("/api/v1/tasks").await), is(403, "address-not-allowed"));
    // Nobody says for themselves where they are: only the edge does.
    let edgeless = stage.another(&[]).await;
    let lying = Caller::of(&edgeless, secret).saying("x-forwarded-for", "192.0.2.9");
    assert_eq!(lying.get("/api/v1/tasks").await.status, 403);
    for (address, status) in [("192.0.2.9", 200), ("2001:db8::9", 200), ("198.51.100.1", 403)] {
        let caller = stage.caller(secret.to_owned()).saying("x-forwarded-for", address);
        assert_eq!(caller.get("/api/v1/tasks").await.status, status, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_is_no_good_token_is_a_problem() {
    let stage = Stage::new().await;
    let owner = stage.agent(ALL_SCOPES);
    let minted = mint(&owner, &agent(&owner).await, &["tasks:read"]).await;
    let (id, secret) = (text(&minted, "id"), text(&minted, "secret"));
    let other_prefix = secret.replacen("bst_", "xyz_", 1);
    let unknown = foundation::auth::token::Token::new(
        &foundation::auth::token::Prefix::new("bst").unwrap(),
        &foundation::clock::SystemRandomness,
    );
    for bad in [
        "",
        "bst_",
        &secret[..secret.len() - 1],
        &secret[..20],
        &format!("{secret}0"),
        &secret.to_uppercase(),
        &other_prefix,
        unknown.reveal(),
        "nonsense",
        &"a".repeat(8_000),
    ] {
        let refused = stage.caller(bad.to_owned()).get("/api/v1/tasks").await;
        assert_eq!(code(&refused), is(401, "bad-credentials"), "{bad}");
        assert!(refused.header("www-authenticate").starts_with("Bearer"), "{bad}");
        assert!(bad.is_empty() || bad.len() < 5 || !refused.text.contains(bad), "{}", refused.text);
    }
    let good = stage.caller(secret.to_owned());
    assert_eq!(good.get("/api/v1/tasks").await.status, 200);
    stage.servers.sql(&format!("UPDATE tokens SET expires_at = now() WHERE id = '{id}'"), "app");
    until(&good, "/api/v1/tasks", 401).await;
    let refused = good.get("/api/v1/tasks").await;
    assert_eq!(refused.json()["detail"], "The token has expired.");
    let write = good.post("/api/v1/tasks", &json!({})).await;
    assert_eq!(write.status, 401, "a write is refused as well");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_rotated_token_works_beside_its_successor_for_as_long_as_asked() {
    let stage = Stage::new().await;
    let owner = stage.agent(ALL_SCOPES);
    let old = mint(&owner, &agent(&owner).await, &["tasks:read"]).await;
    let path = format!("/api/v1/tokens/{}/rotations", text(&old, "id"));
    let too_long = owner.post(&path, &json!({"overlap_seconds": 700_000})).await;
    assert_eq!(code(&too_long), is(422, "validation-failed"));
    let rotated = owner.post(&path, &json!({"overlap_seconds": 600})).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text);
    let new = rotated.json();
    assert_eq!(
        (&new["scopes"], &new["agent_id"], &new["name"]),
        (&old["scopes"], &old["agent_id"], &old["name"])
    );
    let both = [stage.caller(text(&old, "secret").to_owned()), stage.caller(text(&new, "secret").to_owned())];
    for caller in &both {
        assert_eq!(caller.get("/api/v1/tasks").await.status, 200);
    }
    let again = owner.post(&path, &json!({})).await;
    assert_eq!(code(&again), is(409, "token-ended"), "it has a successor");
    let shown = owner.get(&format!("/api/v1/tokens/{}", text(&old, "id"))).await.json();
    assert_eq!(shown["successor_id"], new["id"]);
    assert!(text(&shown, "expires_at") < text(&old, "expires_at"));

    let path = format!("/api/v1/tokens/{}/rotations", text(&new, "id"));
    let newest = owner.post(&path, &json!({"overlap_seconds": 0})).await.json();
    assert_eq!(both[1].get("/api/v1/tasks").await.status, 401, "without an overlap it ends at once");
    assert_eq!(stage.caller(text(&newest, "secret").to_owned()).get("/api/v1/tasks").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_revoked_token_and_its_family_end_within_a_second_everywhere() {
    let stage = Stage::new().await;
    let owner = stage.agent(ALL_SCOPES);
    let tokens = agent(&owner).await;
    let elsewhere = stage.another(&[]).await;
    let parent = mint(&owner, &tokens, &["tasks:read", "tokens:write"]).await;
    let maker = stage.caller(text(&parent, "secret").to_owned());
    let child = mint(&maker, &tokens, &["tasks:read", "tokens:write"]).await;
    let maker = stage.caller(text(&child, "secret").to_owned());
    let grandchild = mint(&maker, &tokens, &["tasks:read"]).await;
    let family = [&parent, &child, &grandchild].map(|token| text(token, "secret").to_owned());
    let ask =
        async |application, secret: &str| Caller::of(application, secret).get("/api/v1/tasks").await.status;
    for secret in &family {
        assert_eq!(ask(&stage.application, secret).await, 200);
        // The other process remembers what it was told, as recently as can be.
        assert_eq!(ask(&elsewhere, secret).await, 200);
    }
    let path = format!("/api/v1/tokens/{}", text(&parent, "id"));
    let revoked = owner.send(Method::DELETE, &path, &[], None).await;
    assert_eq!(revoked.status, 204, "{}", revoked.text);
    for secret in &family {
        assert_eq!(ask(&stage.application, secret).await, 401, "at once where it was revoked");
    }
    for secret in &family {
        let took = until(&Caller::of(&elsewhere, secret), "/api/v1/tasks", 401).await;
        assert!(took < Duration::from_millis(1_200), "{took:?}");
    }
    assert_eq!(
        owner.send(Method::DELETE, &path, &[], None).await.status,
        204,
        "revoking again changes nothing"
    );
    let rotated = owner.post(&format!("{path}/rotations"), &json!({})).await;
    assert_eq!(code(&rotated), is(409, "token-ended"));
    assert_eq!(stage.stranger().send(Method::DELETE, &path, &[], None).await.status, 404);
    let audited = "SELECT jsonb_array_length(changes->'revoked_with_it'->1) FROM audit_events \
                   WHERE action = 'token.revoke' ORDER BY occurred_at LIMIT 1";
    assert_eq!(stage.servers.sql(audited, "app"), "2");
}

/// A process remembers for a second that a token is good. What it makes would live on.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_token_that_was_revoked_a_moment_ago_mints_and_rotates_nothing() {
    let stage = Stage::new().await;
    let owner = stage.agent(ALL_SCOPES);
    let tokens = agent(&owner).await;
    let token = mint(&owner, &tokens, &["tasks:read", "tokens:write"]).await;
    let thief = stage.caller(text(&token, "secret").to_owned());
    let other = mint(&thief, &tokens, &["tasks:read"]).await;
    let count = stage.count("tokens");
    // As another process would do it: this one does not hear of it before its second is over.
    assert_eq!(thief.get("/api/v1/tasks").await.status, 200);
    stage
        .servers
        .sql(&format!("UPDATE tokens SET revoked_at = now() WHERE id = '{}'", text(&token, "id")), "app");
    let minted = thief.post(&tokens, &json!({"name": "kept", "scopes": ["tasks:read"]})).await;
    assert_eq!(code(&minted), is(401, "bad-credentials"));
    let path = format!("/api/v1/tokens/{}/rotations", text(&other, "id"));
    assert_eq!(code(&thief.post(&path, &json!({})).await), is(401, "bad-credentials"));
    assert_eq!(stage.count("tokens"), count);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_last_use_is_written_also_by_a_process_that_stops() {
    let mut stage = Stage::new().await;
    let owner = stage.agent(ALL_SCOPES);
    let tokens = agent(&owner).await;
    let (first, second) =
        (mint(&owner, &tokens, &["tasks:read"]).await, mint(&owner, &tokens, &["tasks:read"]).await);
    let used = |token: &Value| {
        let id = text(token, "id");
        stage.servers.sql(&format!("SELECT last_used_at IS NOT NULL FROM tokens WHERE id = '{id}'"), "app")
            == "t"
    };
    assert_eq!(stage.caller(text(&first, "secret").to_owned()).get("/api/v1/tasks").await.status, 200);
    foundation::testing::servers::wait_until("the first use to be written", || used(&first));
    let shown = owner.get(&format!("/api/v1/tokens/{}", text(&first, "id"))).await.json();
    assert!(shown["last_used_at"].is_string(), "{shown}");
    assert_eq!(stage.caller(text(&second, "secret").to_owned()).get("/api/v1/tasks").await.status, 200);
    stage.application.signal(Signal::TERM);
    assert_eq!(stage.application.exit_code(), Some(0));
    assert!(stage.servers.sql("SELECT count(*) FROM tokens WHERE last_used_at IS NULL", "app") == "0");
}
