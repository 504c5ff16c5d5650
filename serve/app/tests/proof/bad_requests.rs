//! Requests that are wrong before and beside their bodies: paths, queries, headers, and what is sent too slowly or too much.

use std::time::Duration;

use axum::http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::description::Operation;
use crate::estate::places;
use crate::scene::Scene;
use crate::support::application::Answer;
use crate::wire::{Ask, Wire};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_names_nothing_is_not_there() {
    let mut scene = Scene::new(6).await;
    for operation in scene.operations.clone() {
        for place in places(&operation.path) {
            for id in [
                "not-an-id",
                "00000000-0000-0000-0000-000000000000",
                "1",
                "%00",
                "%ff",
                "a%00b",
                "..%2f..%2fetc",
                "%252e%252e",
                "'%20OR%201=1--",
                &"0".repeat(3_000),
            ] {
                let known = |here: &str| (here == place).then(|| id.to_owned());
                let path = scene.estate.path_with(&operation.path, known).unwrap() + &operation.least_query();
                let ask = Ask { path, ..scene.good(&operation) };
                scene
                    .refuses(&format!("{} with {id:.40} at {place}", operation.label()), &ask, &["not-found"])
                    .await;
            }
        }
        let long =
            Ask { path: scene.estate.at_with(&operation, &"a".repeat(9_000)), ..scene.good(&operation) };
        scene.refuses(&format!("{} with a long query", operation.label()), &long, &["uri-too-long"]).await;
    }
    scene.assert_nothing_written();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn bad_queries_are_problems() {
    let mut scene = Scene::new(6).await;
    for operation in scene.operations.clone().into_iter().filter(|one| one.method == Method::GET) {
        let names = operation.parameters("query");
        let mut queries: Vec<(String, &[&str])> = Vec::new();
        if !names.is_empty() {
            for query in ["unknown=1", "%ff=1", "x=%ff", "%00=1"] {
                queries.push((query.to_owned(), &["query-invalid"]));
            }
        }
        for name in &names {
            for query in [format!("{name}=%00"), format!("{name}=%ff"), format!("{name}=a&{name}=a")] {
                queries.push((query, &["query-invalid"]));
            }
        }
        for name in operation.identifiers_in_query() {
            for value in ["x", "", "1", "'"] {
                queries.push((format!("{name}={value}"), &["query-invalid"]));
            }
        }
        if operation.is_paged() {
            for limit in ["0", "-1", "201", "x", "1.5", "", "99999999999999999999", "+5"] {
                queries.push((format!("limit={limit}"), &["bad-limit"]));
            }
            let made_up = "A".repeat(55);
            for cursor in ["", "x", "=", "%F0%9F%98%80", made_up.as_str(), &"A".repeat(4_000)] {
                queries.push((format!("cursor={cursor}"), &["bad-cursor"]));
            }
        }
        for (query, codes) in queries {
            let ask = Ask { path: scene.estate.at_with(&operation, &query), ..scene.good(&operation) };
            scene.refuses(&format!("{}?{query:.60}", operation.label()), &ask, codes).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn bad_headers_are_problems_and_write_nothing() {
    let mut scene = Scene::new(12).await;
    for operation in scene.operations.clone() {
        let label = operation.label();
        let flood =
            (0..120).fold(scene.good(&operation), |ask, number| ask.header(&format!("x-{number}"), "1"));
        scene.refuses(&format!("{label} with 120 headers"), &flood, &["headers-too-large"]).await;
        let long = scene.good(&operation).header("x-long", "a".repeat(40 << 10));
        scene.refuses(&format!("{label} with a long header"), &long, &["headers-too-large"]).await;

        let headers = operation.parameters("header");
        if headers.contains(&"Idempotency-Key") {
            let long = "x".repeat(256);
            for key in ["", "\"\"", "\"a", "a b", "a\"b", "a\\b", "\u{e9}", "a\tb", long.as_str()] {
                let ask = scene.good(&operation).header("idempotency-key", key);
                scene
                    .refuses(&format!("{label} with the key {key:.20?}"), &ask, &["idempotency-key-invalid"])
                    .await;
            }
            let two = scene.good(&operation).header("idempotency-key", "a").header("idempotency-key", "a");
            scene.refuses(&format!("{label} with two keys"), &two, &["idempotency-key-invalid"]).await;
        }
        if headers.contains(&"If-None-Match") {
            let ask = scene.good(&operation).header("if-none-match", "v1");
            scene.refuses(&format!("{label} unless v1"), &ask, &["bad-etag"]).await;
        }
        if operation.takes_if_match() {
            let without = scene.good(&operation).without("if-match");
            scene.refuses(&format!("{label} if anything"), &without, &["precondition-required"]).await;
            let many = "\"v\", ".repeat(65);
            for tag in ["", "v1", "\"v1", "W/", "\"\"x", "*, *", "\"a b\"", many.as_str()] {
                let ask = scene.good(&operation).instead("if-match", tag);
                scene.refuses(&format!("{label} if {tag:.20}"), &ask, &["bad-etag"]).await;
            }
            for tag in ["\"v999\"", "\"\"", "W/\"v1\"", "\"v0\", \"v-1\""] {
                let ask = scene.good(&operation).instead("if-match", tag);
                scene.refuses(&format!("{label} if {tag}"), &ask, &["precondition-failed"]).await;
            }
        }
    }
    scene.assert_nothing_written();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn methods_that_a_path_does_not_have_are_refused_with_those_it_has() {
    let mut scene = Scene::new(2).await;
    for operation in scene.operations.clone() {
        let has: Vec<Method> = scene
            .operations
            .iter()
            .filter(|one| one.path == operation.path)
            .map(|one| one.method.clone())
            .collect();
        let others = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
        ];
        let mut none = others.into_iter().filter(|method| !has.contains(method)).collect::<Vec<_>>();
        none.push(Method::from_bytes(b"BREW").unwrap());
        for method in none {
            let ask = Ask { method: method.clone(), ..scene.good(&operation) };
            let answer = scene.wire.send(&ask).await.unwrap();
            let label = format!("{method} {}", operation.path);
            scene.is_problem(&label, &answer, &["method-not-allowed"]).await;
            for method in &has {
                assert!(
                    answer.header("allow").contains(method.as_str()),
                    "{label}: {}",
                    answer.header("allow")
                );
            }
        }
    }
    scene.assert_nothing_written();
}

/// The head of a request for the operation, which says that so many bytes follow.
fn head(scene: &Scene, operation: &Operation, length: usize) -> Vec<u8> {
    let ask = scene.good(operation);
    let mut head =
        format!("{} {} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n", ask.method, ask.path);
    for (name, value) in &ask.headers {
        head += &format!("{name}: {}\r\n", String::from_utf8_lossy(value));
    }
    (head + "\r\n").into_bytes()
}

/// Says these bytes, and returns what comes until the other side ends the connection.
async fn say(wire: Wire, bytes: Vec<u8>) -> String {
    let mut stream = wire.connect().await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    // An end that comes without a farewell is an end too.
    let _ = timeout(Duration::from_secs(40), reading).await.expect("the connection stays open");
    String::from_utf8_lossy(&answer).into_owned()
}

fn parsed(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse::<u16>().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| {
        (name.parse::<axum::http::HeaderName>().unwrap(), value.parse::<axum::http::HeaderValue>().unwrap())
    });
    Answer { status: status.try_into().unwrap(), headers: headers.collect(), text: body.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn bodies_that_do_not_come_or_do_not_end_are_problems_and_write_nothing() {
    let mut scene = Scene::new(6).await;
    let writing: Vec<Operation> = scene.operations.clone().into_iter().filter(Operation::writes).collect();
    // All at the same time: each waits for as long as the server does.
    let mut slow = JoinSet::new();
    for operation in writing.clone() {
        let (head, wire) = (head(&scene, &operation, 10), Wire::to(&scene.stage.application));
        slow.spawn(async move { (operation.label(), say(wire, [head, b"{".to_vec()].concat()).await) });
    }
    for operation in &writing {
        // What says that it is too large is not waited for.
        let huge = head(&scene, operation, 10_000_000);
        let answer = parsed(&say(Wire::to(&scene.stage.application), huge).await);
        scene.is_problem(&format!("{} with 10 MB", operation.label()), &answer, &["body-too-large"]).await;

        // And what does not say it is found too large.
        let ask = scene.good(operation);
        let head = String::from_utf8(head(&scene, operation, 0)).unwrap();
        let chunked = head.replace("content-length: 0", "transfer-encoding: chunked");
        let chunk = format!("{:x}\r\n{}\r\n", 70_000, " ".repeat(70_000)).repeat(17);
        let answer = parsed(
            &say(Wire::to(&scene.stage.application), [chunked.as_bytes(), chunk.as_bytes()].concat()).await,
        );
        scene.is_problem(&format!("{} in chunks", ask.path), &answer, &["body-too-large"]).await;

        // Who hangs up has said nothing.
        let mut stream = Wire::to(&scene.stage.application).connect().await.unwrap();
        stream
            .write_all(&head.replace("content-length: 0", "content-length: 999").into_bytes())
            .await
            .unwrap();
        stream.write_all(&ask.body).await.unwrap();
        stream.flush().await.unwrap();
    }
    for (label, text) in slow.join_all().await {
        scene.is_problem(&format!("{label} slowly"), &parsed(&text), &["body-too-slow"]).await;
    }
    scene.assert_nothing_written();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_is_no_http_disturbs_nobody() {
    let mut scene = Scene::new(2).await;
    let create = scene.operations.iter().find(|one| one.id == "createProject").unwrap().clone();
    let good = String::from_utf8(head(&scene, &create, 15)).unwrap();
    let body = "{\"name\":\"Twice\"}";
    let both = good.replace("content-length: 15", "content-length: 15\r\ntransfer-encoding: chunked") + body;
    let two = good.replace("content-length: 15", "content-length: 15\r\ncontent-length: 3") + body;
    let negative = good.replace("content-length: 15", "content-length: -1") + body;
    let folded = good.replace("host: localhost", "host: localhost\r\n folded: 1") + body;
    let nul = good.replace("host: localhost", "host: local\0host") + body;
    let chunk = good.replace("content-length: 15", "transfer-encoding: chunked") + "ffffffffffffffffff\r\n";
    let texts = [
        "\0\0\0\0\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nhost: localhost\r\n\r\n",
        "GET http://[ HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense",
        &both,
        &two,
        &negative,
        &folded,
        &nul,
        &chunk,
    ];
    for text in texts {
        let answer = say(Wire::to(&scene.stage.application), text.as_bytes().to_vec()).await;
        let begin: String = answer.chars().take(12).collect();
        assert!(!begin.starts_with("HTTP/1.1 5") && !begin.starts_with("HTTP/1.1 2"), "{text:?}: {answer}");
    }
    let alive = scene.wire.send(&Ask::new(Method::GET, "/readyz")).await.unwrap();
    assert_eq!(alive.status, 200, "{}", alive.text);
    scene.assert_nothing_written();
}
