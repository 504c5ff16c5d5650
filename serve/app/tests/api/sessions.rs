//! Where somebody is signed in, and who asks.

use axum::http::Method;
use serde_json::json;

use crate::stage::Stage;
use crate::support::seed;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn sessions_are_listed_and_ended_one_by_one_or_all() {
    let stage = Stage::new().await;
    let mut browsers = Vec::new();
    for _ in 0..3 {
        browsers.push(stage.signed_in("ada").await);
    }
    let bob = stage.signed_in("bob").await;
    let pages: Vec<_> = browsers.iter().map(|browser| stage.page_of(browser)).collect();
    let list = pages[1].get("/api/v1/sessions").await.json();
    let sessions = list["items"].as_array().unwrap();
    let of = |member: &str| sessions.iter().map(|session| session[member].clone()).collect::<Vec<_>>();
    assert_eq!(of("current"), [json!(false), json!(true), json!(false)]);
    let addresses: Vec<_> = browsers.iter().map(|browser| json!(browser.address())).collect();
    assert_eq!(of("address"), addresses);
    let ids: Vec<String> = of("id").iter().map(|id| id.as_str().unwrap().to_owned()).collect();

    let mut seen = Vec::new();
    let mut path = "/api/v1/sessions?limit=2".to_owned();
    loop {
        let page = pages[0].get(&path).await.json();
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|session| session["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/v1/sessions?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ids);

    // One is refused at once; another person's is not there.
    let path = format!("/api/v1/sessions/{}", ids[0]);
    assert_eq!(stage.page_of(&bob).send(Method::DELETE, &path, &[], None).await.status, 404);
    assert_eq!(pages[0].get("/api/v1/me").await.status, 200);
    let key = [("idempotency-key", "end-the-first")];
    let ended = pages[1].send(Method::DELETE, &path, &key, None).await;
    assert_eq!((ended.status.as_u16(), ended.header("set-cookie")), (204, ""), "{}", ended.text);
    assert_eq!(pages[0].get("/api/v1/me").await.status, 401);
    let again = pages[1].send(Method::DELETE, &path, &key, None).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (204, "true"));
    assert_eq!(pages[1].send(Method::DELETE, &path, &[], None).await.status, 404);

    let all = pages[1].send(Method::DELETE, "/api/v1/sessions", &[], None).await;
    assert_eq!(all.status, 204, "{}", all.text);
    assert!(all.header("set-cookie").contains("Max-Age=0"), "{}", all.header("set-cookie"));
    for page in &pages {
        assert_eq!(page.get("/api/v1/sessions").await.status, 401);
    }
    assert_eq!(stage.page_of(&bob).get("/api/v1/me").await.status, 200);
    let actions = stage.servers.sql(
        "SELECT string_agg(action, ' ' ORDER BY occurred_at, id) FROM audit_events WHERE action <> 'session.sign-in'",
        "app",
    );
    assert_eq!(actions, "session.revoke session.revoke-all");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_oldest_session_ends_with_the_hundred_and_first() {
    let stage = Stage::new().await;
    let first = stage.signed_in("ada").await;
    let person = seed::person_of(&stage.servers, "ada");
    for _ in 0..99 {
        seed::session(&stage.servers, person, None).await;
    }
    let list = stage.page_of(&first).get("/api/v1/sessions?limit=200").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 100);
    let last = stage.signed_in("ada").await;
    assert_eq!(stage.page_of(&first).get("/api/v1/me").await.status, 401);
    let list = stage.page_of(&last).get("/api/v1/sessions?limit=200").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn somebody_enters_the_organizations_that_they_belong_to() {
    let stage = Stage::new().await;
    let second = seed::organization(&stage.servers, "second");
    let third = seed::organization(&stage.servers, "third");
    seed::person(&stage.servers, third, "bob", "owner");
    stage.signed_in("ada").await;
    let ada = seed::person_of(&stage.servers, "ada");
    seed::member(&stage.servers, stage.organization, ada, "viewer");
    seed::member(&stage.servers, second, ada, "owner");
    let browser = stage.signed_in("ada").await;
    let page = stage.page_of(&browser);
    let who = page.get("/api/v1/me").await.json();
    assert_eq!(who["organization"]["name"], "first", "the one that she has belonged to for longest: {who}");
    assert!(!who["scopes"].as_array().unwrap().contains(&json!("tasks:write")));

    let enter = async |id| {
        page.send(Method::PUT, "/api/v1/me/organization", &[], Some(&json!({"organization_id": id}))).await
    };
    let entered = enter(second).await;
    assert_eq!(entered.status, 200, "{}", entered.text);
    assert_eq!(entered.json(), json!({"id": second, "name": "second", "role": "owner"}));
    let who = page.get("/api/v1/me").await.json();
    assert_eq!(who["organization"], entered.json());
    assert!(who["scopes"].as_array().unwrap().contains(&json!("organizations:write")));
    let foreign = enter(third).await;
    assert_eq!(
        (foreign.status.as_u16(), &foreign.json()["errors"][0]["pointer"]),
        (404, &json!("/organization_id"))
    );
    assert_eq!(page.get("/api/v1/me").await.json()["organization"]["name"], "second");
    let event = format!("audit_events WHERE action = 'session.enter' AND organization_id = '{second}'");
    assert_eq!(stage.count(&event), "1");

    // The next session begins where the last one was, as long as she belongs there.
    let where_to = async || {
        let browser = stage.signed_in("ada").await;
        stage.page_of(&browser).get("/api/v1/me").await.json()["organization"]["name"].clone()
    };
    assert_eq!(where_to().await, "second");
    stage.servers.sql(&format!("UPDATE organizations SET deleted_at = now() WHERE id = '{second}'"), "app");
    assert_eq!(where_to().await, "first");
    assert_eq!(enter(second).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_agent_learns_what_its_token_allows_and_has_no_sessions() {
    let stage = Stage::new().await;
    let agent = stage.agent(&["tasks:read"]);
    let me = agent.get("/api/v1/me").await;
    assert_eq!(me.status, 200, "{}", me.text);
    let who = me.json();
    assert_eq!((&who["kind"], &who["scopes"]), (&json!("agent"), &json!(["tasks:read"])));
    assert_eq!(who["organization"], json!({"id": stage.organization, "name": "first", "role": null}));
    assert!(who["token"]["expires_at"].is_string() && who["session_id"].is_null(), "{who}");

    let id = seed::id();
    let entry = json!({"organization_id": stage.organization});
    for (method, path, body) in [
        (Method::GET, "/api/v1/sessions".to_owned(), None),
        (Method::DELETE, "/api/v1/sessions".to_owned(), None),
        (Method::DELETE, format!("/api/v1/sessions/{id}"), None),
        (Method::PUT, "/api/v1/me/organization".to_owned(), Some(&entry)),
    ] {
        let refused = agent.send(method, &path, &[], body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["code"]),
            (403, &json!("people-only")),
            "{path}"
        );
    }
    assert_eq!(stage.application.get("/api/v1/me").await.status, 401);
}
