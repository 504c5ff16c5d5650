//! The audit log: what is found in it, what is exported, and whether it is as it was sealed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{Caller, Stage};
use crate::support::application::Answer;
use crate::support::seed::{self, ALL_SCOPES};

const EVENTS: &str = "/api/v1/audit-events";
const CHAIN: &str = "/api/v1/audit-chain";

fn items(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["items"].as_array().unwrap().clone()
}

/// Every page, one after the other.
async fn pages(caller: &Caller<'_>, path: &str) -> Vec<Value> {
    let (mut found, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let page = caller.get(&path).await;
        found.extend(items(&page));
        let link = page.header("link");
        assert_eq!(link.is_empty(), page.json()["next_cursor"].is_null(), "{link}");
        next = link.strip_prefix('<').and_then(|link| Some(link.split_once('>')?.0.to_owned()));
    }
    found
}

fn ids(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

/// Puts events into the log as PostgreSQL's superuser: one a number, and what is different of them.
fn put(stage: &Stage, organization: Uuid, count: u32, columns: &str, values: &str) {
    stage.servers.sql(
        &format!(
            "INSERT INTO audit_events (id, organization_id, occurred_at, actor_kind, request_id, action, resource_kind, \
             result, changes{columns}) \
             SELECT gen_random_uuid(), '{organization}', now() - interval '1 hour' + n / 10 * interval '1 millisecond', \
             'agent', 'request-' || n, 'seed.make', 'seed', 'success', '{{}}'{values} FROM generate_series(1, {count}) AS n"
        ),
        "app",
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn events_are_found_by_all_that_is_said_of_them() {
    let stage = Stage::new().await;
    let (agent, admin) = (stage.agent(ALL_SCOPES), stage.person("ada", "admin").await);
    let project = agent.post("/api/v1/projects", &json!({"name": "Garden"})).await;
    let path = project.header("location").to_owned();
    let renamed = admin.patch(&path, project.header("etag"), &json!({"name": "Park"})).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text);
    agent.post("/api/v1/projects", &json!({"name": "House"})).await;
    assert_eq!(agent.delete(&path, renamed.header("etag")).await.status, 204);

    let all = items(&admin.get(EVENTS).await);
    let actions: Vec<_> = all.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["project.delete", "project.create", "project.update", "project.create"]);
    let update = &all[2];
    assert_eq!((&update["actor_kind"], &update["token_id"]), (&json!("person"), &json!(null)));
    assert_eq!(update["changes"], json!({"name": ["Garden", "Park"]}));
    assert_eq!(update["request_id"], renamed.header("x-request-id"));
    assert_eq!((&update["address"], &update["result"]), (&json!("127.0.0.1"), &json!("success")));
    assert_eq!(admin.get(&format!("{EVENTS}/{}", update["id"].as_str().unwrap())).await.json(), *update);

    for field in [
        "actor_kind",
        "actor_id",
        "token_id",
        "action",
        "resource_kind",
        "resource_id",
        "request_id",
        "result",
    ] {
        let values: BTreeSet<&str> = all.iter().filter_map(|event| event[field].as_str()).collect();
        for value in values {
            let found = items(&agent.get(&format!("{EVENTS}?{field}={value}")).await);
            let wanted: Vec<Value> = all.iter().filter(|event| event[field] == value).cloned().collect();
            assert_eq!(found, wanted, "{field}={value}");
        }
        let nobody = if field.ends_with("_id") { seed::id().to_string() } else { "none".to_owned() };
        let found = agent.get(&format!("{EVENTS}?{field}={nobody}")).await;
        let closed = ["actor_kind", "result"].contains(&field);
        assert_eq!(found.status, if closed { 400 } else { 200 }, "{field}: {}", found.text);
    }
    let middle = update["occurred_at"].as_str().unwrap().replace('+', "%2B");
    assert_eq!(items(&agent.get(&format!("{EVENTS}?from={middle}")).await), all[..3]);
    assert_eq!(items(&agent.get(&format!("{EVENTS}?to={middle}")).await), all[3..]);
    assert_eq!(
        items(&agent.get(&format!("{EVENTS}?actor_kind=agent&action=project.delete")).await),
        all[..1]
    );
    assert!(items(&agent.get(&format!("{EVENTS}?actor_kind=person&action=project.delete")).await).is_empty());

    for (query, pointer) in [
        ("from=yesterday", "/from"),
        ("actor_id=7", "/actor_id"),
        ("result=odd", "/result"),
        ("acton=a", "/acton"),
    ] {
        let refused = agent.get(&format!("{EVENTS}?{query}")).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["errors"][0]["pointer"]),
            (400, &json!(pointer))
        );
    }
    let cursor = agent.get(&format!("{EVENTS}?limit=1")).await.json()["next_cursor"].clone();
    let cursor = cursor.as_str().unwrap();
    let other = agent.get(&format!("{EVENTS}?action=project.create&cursor={cursor}")).await;
    assert_eq!(other.json()["code"], "bad-cursor", "{}", other.text);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn pages_follow_each_other_while_others_write() {
    let stage = Stage::new().await;
    let agent = stage.agent(ALL_SCOPES);
    put(&stage, stage.organization, 250, "", "");
    let before: BTreeSet<String> =
        ids(&pages(&agent, &format!("{EVENTS}?limit=200")).await).into_iter().collect();
    assert_eq!(before.len(), 250);
    let started = Instant::now();
    let write = async {
        let mut written = 0;
        while started.elapsed() < Duration::from_secs(2) {
            let made = agent.post("/api/v1/projects", &json!({"name": "Garden"})).await;
            written += u32::from(made.status == 201);
        }
        written
    };
    let read = async {
        let mut walks = 0;
        while started.elapsed() < Duration::from_secs(2) {
            let found = pages(&agent, &format!("{EVENTS}?limit=7")).await;
            let order: Vec<_> = found
                .iter()
                .map(|event| {
                    (
                        event["occurred_at"].as_str().unwrap().to_owned(),
                        event["id"].as_str().unwrap().to_owned(),
                    )
                })
                .collect();
            let unique: BTreeSet<String> = ids(&found).into_iter().collect();
            assert_eq!(unique.len(), found.len(), "an event is on two pages");
            assert!(before.is_subset(&unique), "an event is on no page");
            assert!(order.is_sorted_by(later), "{order:#?}");
            walks += 1;
        }
        walks
    };
    let (written, walks) = tokio::join!(write, read);
    assert!(written > 10 && walks > 1, "{written} writes beside {walks} walks");
}

/// Newest first; PostgreSQL leaves trailing zeros of a second's fraction out, so texts compare only as times.
fn later(one: &(String, String), next: &(String, String)) -> bool {
    let time = |text: &str| {
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap()
    };
    (time(&one.0), Uuid::parse_str(&one.1).unwrap()) > (time(&next.0), Uuid::parse_str(&next.1).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn another_organizations_events_are_nowhere_and_a_restricted_token_sees_its_resources() {
    let stage = Stage::new().await;
    let (agent, stranger) = (stage.agent(ALL_SCOPES), stage.stranger());
    let project = agent.post("/api/v1/projects", &json!({"name": "Garden"})).await.json();
    agent.post("/api/v1/projects", &json!({"name": "House"})).await;
    stranger.post("/api/v1/projects", &json!({"name": "Theirs"})).await;
    let mine = items(&agent.get(EVENTS).await);
    assert_eq!(mine.len(), 2);
    let theirs = items(&stranger.get(EVENTS).await);
    assert_eq!(theirs.len(), 1);
    for event in &mine {
        let text = |field: &str| event[field].as_str().unwrap().to_owned();
        assert_eq!(stranger.get(&format!("{EVENTS}/{}", text("id"))).await.status, 404);
        for field in ["actor_id", "token_id", "resource_id", "request_id"] {
            let found = items(&stranger.get(&format!("{EVENTS}?{field}={}", text(field))).await);
            assert!(found.is_empty(), "{field}: {found:?}");
        }
        for format in ["csv", "ndjson"] {
            let export = stranger.get(&format!("/api/v1/audit-exports?format={format}")).await;
            assert!(
                !export.text.contains(&text("id")) && export.text.contains(theirs[0]["id"].as_str().unwrap())
            );
        }
    }

    let id = project["id"].as_str().unwrap().parse().unwrap();
    let narrow = seed::token_within(&stage.servers, stage.organization, ALL_SCOPES, Some(&[id]));
    let narrow = stage.caller(narrow);
    assert_eq!(items(&narrow.get(EVENTS).await), mine[1..]);
    assert_eq!(narrow.get(&format!("{EVENTS}/{}", mine[0]["id"].as_str().unwrap())).await.status, 404);
    let export = narrow.get("/api/v1/audit-exports?format=ndjson").await;
    assert_eq!(export.text.lines().count(), 1, "{}", export.text);
    assert_eq!(narrow.get(CHAIN).await.status, 404);
}

/// A table of RFC 4180, read as strictly as it is written.
fn read_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut rest) = (Vec::new(), Vec::new(), text);
    while !rest.is_empty() {
        let (field, end) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut close = 0;
            loop {
                close += quoted[close..].find('"').expect("the quotation ends");
                if !quoted[close + 1..].starts_with('"') {
                    break;
                }
                close += 2;
            }
            (quoted[..close].replace("\"\"", "\""), &quoted[close + 1..])
        } else {
            let end = rest.find([',', '\r']).expect("a line ends");
            assert!(!rest[..end].contains(['"', '\n']), "{rest:.80}");
            (rest[..end].to_owned(), &rest[end..])
        };
        row.push(field);
        rest = if let Some(next) = end.strip_prefix(',') {
            next
        } else {
            rows.push(std::mem::take(&mut row));
            end.strip_prefix("\r\n").expect("a line ends with both characters")
        };
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_table_holds_hostile_values_and_runs_none() {
    let stage = Stage::new().await;
    let agent = stage.agent(ALL_SCOPES);
    let hostile = [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2",
        "@SUM(A1:A9)",
        "a,b\"c\"\r\nd",
        "\t=1",
        "  =HYPERLINK(\"https://evil.example\")",
        "＝1",
        "plain – ünï 💥",
    ];
    for value in hostile {
        let value = value.replace('\'', "''");
        put(&stage, stage.organization, 1, ", user_agent, resource_id", &format!(", '{value}', '{value}'"));
    }
    let export = agent.get("/api/v1/audit-exports?format=csv&action=seed.make").await;
    assert_eq!(export.status, 200, "{}", export.text);
    assert_eq!(export.header("content-type"), "text/csv; charset=utf-8; header=present");
    let name = export.header("content-disposition");
    assert!(name.starts_with("attachment; filename=\"audit-") && name.ends_with(".csv\""), "{name}");
    assert_eq!(export.header("cache-control"), "no-store");

    let rows = read_csv(&export.text);
    assert_eq!(
        rows[0].join(","),
        "id,occurred_at,actor_kind,actor_id,token_id,address,user_agent,request_id,action,\
        resource_kind,resource_id,result,changes"
    );
    assert_eq!(rows.len(), 1 + hostile.len());
    let found: BTreeSet<&str> =
        rows[1..].iter().map(|row| row[6].strip_prefix('\'').unwrap_or(&row[6])).collect();
    assert_eq!(found, BTreeSet::from(hostile));
    for cell in rows[1..].iter().flatten() {
        assert!(!cell.trim_start().starts_with(['=', '+', '-', '@', '＝']), "{cell:?} is a formula");
        assert!(!cell.starts_with(['\t', '\r']), "{cell:?}");
    }
    // That it was exported is in the log itself, with the filter, and not in the file.
    let events = items(&agent.get(&format!("{EVENTS}?action=audit.export")).await);
    assert_eq!(
        events[0]["changes"],
        json!({"filter": [null, {"action": "seed.make"}], "format": [null, "csv"]})
    );

    for query in ["", "?format=xml", "?format=csv&limit=3", "?format=csv&cursor=x"] {
        assert_eq!(agent.get(&format!("/api/v1/audit-exports{query}")).await.status, 400, "{query}");
    }
    assert_eq!(items(&agent.get(&format!("{EVENTS}?action=audit.export")).await).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_long_export_has_every_event_once_in_order() {
    let stage = Stage::new().await;
    let agent = stage.agent(ALL_SCOPES);
    put(&stage, stage.organization, 5_000, "", "");
    put(&stage, seed::organization(&stage.servers, "second"), 10, "", "");
    let export = agent.get("/api/v1/audit-exports?format=ndjson").await;
    assert_eq!((export.status.as_u16(), export.header("content-type")), (200, "application/x-ndjson"));
    let lines: Vec<Value> = export.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let unique: BTreeSet<String> = ids(&lines).into_iter().collect();
    assert_eq!((lines.len(), unique.len()), (5_000, 5_000));
    let order: Vec<_> = lines
        .iter()
        .map(|line| {
            (line["occurred_at"].as_str().unwrap().to_owned(), line["id"].as_str().unwrap().to_owned())
        })
        .collect();
    assert!(order.is_sorted_by(|one, next| later(next, one)), "the oldest comes first");
    let shown = agent.get(&format!("{EVENTS}/{}", lines[7]["id"].as_str().unwrap())).await;
    assert_eq!(shown.json(), lines[7]);
    // Up to the moment of the export, which the next one has.
    let again = agent.get("/api/v1/audit-exports?format=ndjson&action=audit.export").await;
    assert_eq!(again.text.lines().count(), 1, "{}", again.text);
}

/// The chain when everything is sealed.
async fn sealed(caller: &Caller<'_>) -> Value {
    let started = Instant::now();
    loop {
        let chain = caller.get(CHAIN).await;
        assert_eq!(chain.status, 200, "{}", chain.text);
        let chain = chain.json();
        if chain["unsealed"] == 0 && !chain["head"].is_null() || chain["intact"] == false {
            return chain;
        }
        assert!(started.elapsed() < Duration::from_secs(40), "{chain}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_chain_shows_what_the_superuser_changed() {
    let stage = Stage::new().await;
    let agent = stage.agent(ALL_SCOPES);
    for name in ["Garden", "House"] {
        agent.post("/api/v1/projects", &json!({"name": name})).await;
    }
    let chain = sealed(&agent).await;
    assert_eq!(
        (&chain["intact"], &chain["complete"], &chain["events"], &chain["broken"]),
        (&json!(true), &json!(true), &json!(2), &json!(null))
    );
    let (number, hash) =
        (chain["head"]["number"].clone(), chain["head"]["hash"].as_str().unwrap().to_owned());
    let known = format!("{CHAIN}?number={number}&hash={hash}");
    let after = format!("{CHAIN}?after_number={number}&after_hash={hash}");
    assert_eq!(agent.get(&known).await.json()["intact"], true);
    assert_eq!(agent.get(&after).await.json()["events"], 0);

    stage
        .servers
        .sql("UPDATE audit_events SET action = 'project.praise' WHERE action = 'project.create'", "app");
    let broken = agent.get(CHAIN).await.json();
    assert_eq!(
        (&broken["intact"], &broken["broken"]["flaw"]),
        (&json!(false), &json!("event-changed")),
        "{broken}"
    );
    stage
        .servers
        .sql("UPDATE audit_events SET action = 'project.create' WHERE action = 'project.praise'", "app");
    assert_eq!(agent.get(CHAIN).await.json()["intact"], true);
    stage.servers.sql("DELETE FROM audit_events WHERE changes::text LIKE '%House%'", "app");
    assert_eq!(agent.get(CHAIN).await.json()["broken"]["flaw"], "event-missing");

    // Sealed anew, the chain is whole; only who knows the head sees that it is another one.
    stage.servers.sql("DELETE FROM audit_batches", "app");
    assert_eq!(sealed(&agent).await["intact"], true);
    for path in [&known, &after] {
        assert_eq!(agent.get(path).await.json()["broken"]["flaw"], "head-lost", "{path}");
    }
    for query in [
        "number=1",
        "hash=00",
        &format!("number=1&hash={hash}0"),
        &format!("after_number=0&after_hash={hash}"),
    ] {
        let refused = agent.get(&format!("{CHAIN}?{query}")).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["code"]),
            (400, &json!("query-invalid")),
            "{query}"
        );
    }
}
