//! Rate limits: of a token, an address and a person; and what holds where the cache Valkey is not there.

use std::time::{Duration, Instant};

use axum::http::Method;
use foundation::testing::servers::{Server, wait_until};
use serde_json::json;

use crate::stage::Stage;
use crate::support::seed::{self, ALL_SCOPES};
use foundation::testing::program::{Answer, Connection};

/// A path where somebody could guess at what they do not have.
const KNOCK: &str = "/api/v1/memberships";

/// Sends the same until one is refused, and says how many passed before, how long that took, and the refusal.
async fn exhaust(
    connection: &mut Connection,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> (u32, Duration, Answer) {
    let started = Instant::now();
    for passed in 0..2_000 {
        let answer = connection.send(method.clone(), path, headers, "{}".to_owned()).await.unwrap();
        if answer.status == 429 {
            return (passed, started.elapsed(), answer);
        }
    }
    panic!("nothing was refused");
}

/// Whether so many passed as there are in the quota, as flowed back meanwhile, and as were let through because Valkey did
/// not answer in time, which happens on a busy machine.
async fn is_quota(stage: &Stage, passed: u32, per_minute: u32, took: Duration) {
    let flowed_back = took.as_secs_f64() * f64::from(per_minute) / 60.0;
    let let_through = count(stage, "app_rate_limit_let_through_total").await;
    let most = f64::from(per_minute) + flowed_back + let_through + 1.0;
    assert!((f64::from(per_minute)..=most).contains(&f64::from(passed)), "{passed} of {most} in {took:?}");
}

/// What a metric says.
async fn count(stage: &Stage, name: &str) -> f64 {
    let metrics = stage.application.metrics().await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

fn is_refusal(answer: &Answer, policy: &str, quota: u32) {
    assert_eq!((answer.header("content-type"), answer.status.as_u16()), ("application/problem+json", 429));
    assert_eq!(answer.json()["violated-policies"], json!([policy]), "{}", answer.text);
    let all = |name: &str| {
        let values = answer.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(", ")
    };
    assert!(all("ratelimit").contains(&format!("{policy};r=0;t=")), "{}", all("ratelimit"));
    assert!(
        all("ratelimit-policy").contains(&format!("{policy};q={quota};w=60")),
        "{}",
        all("ratelimit-policy")
    );
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_token_has_a_quota_of_its_own_and_who_waits_passes() {
    let stage = Stage::new().await;
    let token = format!("Bearer {}", seed::token(&stage.servers, stage.organization, ALL_SCOPES));
    let mut connection = stage.application.connect().await;
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let (passed, took, refused) = exhaust(&mut connection, Method::POST, "/api/v1/tasks", &headers).await;
    is_refusal(&refused, "write-credential", 600);
    is_quota(&stage, passed, 600, took).await;
    // Reading is another class, and another token another subject.
    assert_eq!(stage.application.ask(Method::GET, "/api/v1/tasks", &headers).await.status, 200);
    let other = stage.agent(ALL_SCOPES).post("/api/v1/tasks", &json!({})).await;
    assert_eq!(other.status, 422, "{}", other.text);
    let left: Vec<_> =
        other.headers.get_all("ratelimit").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(left.iter().any(|value| value.starts_with("write-credential;r=599;t=")), "{left:?}");

    let wait: u64 = refused.header("retry-after").parse().unwrap();
    let started = Instant::now();
    loop {
        let again = stage.application.send(Method::POST, "/api/v1/tasks", &headers, "{}").await;
        if again.status != 429 {
            assert_eq!(again.status, 422, "{}", again.text);
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(wait + 2), "longer than it was told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_address_has_a_quota_whoever_asks_from_there() {
    let stage = Stage::new().await;
    let mut connection = stage.application.connect().await;
    let from = |address: &'static str| [("x-forwarded-for", address)];
    let (passed, took, refused) = exhaust(&mut connection, Method::POST, KNOCK, &from("2001:db8::1")).await;
    is_refusal(&refused, "sign-in-address", 30);
    is_quota(&stage, passed, 30, took).await;
    let ask =
        async |address| stage.application.ask(Method::POST, KNOCK, &from(address)).await.status.as_u16();
    // One flows back in two seconds; an address with a quota of its own would be let in each time.
    let mut let_in = 0;
    while ask("2001:db8::ffff:2").await != 429 {
        let_in += 1;
        assert!(let_in < 10, "a customer's network is one subject");
    }
    assert_ne!(ask("2001:db8:0:1::1").await, 429);
    assert_ne!(ask("192.0.2.1").await, 429);
    // What is no token counts for the address alone, and is not asked for in the database.
    let guesses = [("authorization", "Bearer bst_guess"), ("x-forwarded-for", "192.0.2.2")];
    let (passed, took, refused) = exhaust(&mut connection, Method::POST, "/api/v1/tasks", &guesses).await;
    is_refusal(&refused, "write-address", 1_200);
    is_quota(&stage, passed, 1_200, took).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_person_has_one_quota_in_all_sessions() {
    let stage = Stage::new().await;
    let person = seed::person(&stage.servers, stage.organization, "ada", "member");
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(seed::session(&stage.servers, person, Some(stage.organization)).await);
    }
    let mut connection = stage.application.connect().await;
    let (started, mut total, mut refusal) = (Instant::now(), 0, None);
    // In turns, and each from another address: neither of these is exhausted before the person is.
    for (number, session) in sessions.iter().enumerate().cycle().take(5_000) {
        let address = format!("192.0.2.{number}");
        let headers = [
            ("cookie", session.as_str()),
            ("origin", crate::support::application::PUBLIC_URL),
            ("content-type", "application/json"),
            ("x-forwarded-for", address.as_str()),
        ];
        let answer = connection.send(Method::POST, "/api/v1/tasks", &headers, "{}".to_owned()).await.unwrap();
        if answer.status == 429 {
            refusal = Some(answer);
            break;
        }
        assert_eq!(answer.status, 422, "{}", answer.text);
        total += 1;
    }
    is_refusal(&refusal.expect("more sessions add nothing"), "write-person", 600);
    is_quota(&stage, total, 600, started.elapsed()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn without_the_cache_requests_pass_and_are_counted_until_it_is_back() {
    let mut stage = Stage::new().await;
    let token = format!("Bearer {}", seed::token(&stage.servers, stage.organization, ALL_SCOPES));
    let headers = [("authorization", token.as_str())];
    let limited = async |stage: &Stage| {
        let answer = stage.application.ask(Method::GET, "/api/v1/tasks", &headers).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.headers.contains_key("ratelimit")
    };
    let holds = |stage: &Stage| {
        wait_until("limits to hold", || {
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(limited(stage)))
        });
    };
    let ends = |stage: &Stage| {
        wait_until("limits to end", || {
            tokio::task::block_in_place(|| !tokio::runtime::Handle::current().block_on(limited(stage)))
        });
    };
    holds(&stage);
    let before = count(&stage, "app_rate_limit_let_through_total").await;

    stage.servers.stop_one(Server::Cache);
    stage.application.wait_for_missing(&["cache"]).await;
    // What Valkey said last is believed for a second.
    ends(&stage);
    for _ in 0..5 {
        let started = Instant::now();
        assert!(!limited(&stage).await, "there is no limit to tell of");
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
    assert!(count(&stage, "app_rate_limit_let_through_total").await >= before + 5.0);
    assert!(count(&stage, "app_valkey_commands_total{instance=\"cache\",result=\"failed\"}").await >= 1.0);
    assert!(stage.application.log().iter().any(|line| line["level"] == "warn"), "the log says it");

    // One that hangs is given up as well.
    stage.servers.start_one(Server::Cache);
    stage.application.wait_for_missing(&[]).await;
    holds(&stage);
    stage.servers.freeze(Server::Cache, true);
    ends(&stage);
    let started = Instant::now();
    assert!(!limited(&stage).await);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    stage.servers.freeze(Server::Cache, false);
    holds(&stage);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn two_processes_share_a_quota_and_ask_for_few_of_its_requests() {
    let stage = Stage::new().await;
    let other = stage.another(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let token = format!("Bearer {}", seed::token(&stage.servers, stage.organization, ALL_SCOPES));
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let mut connections = [stage.application.connect().await, other.connect().await];
    let asked = async |stage: &Stage| {
        count(stage, "app_valkey_commands_total{instance=\"cache\",result=\"answered\"}").await
    };
    let before = asked(&stage).await;
    let (started, mut passed) = (Instant::now(), 0_u32);
    'all: loop {
        for connection in &mut connections {
            let answer =
                connection.send(Method::POST, "/api/v1/tasks", &headers, "{}".to_owned()).await.unwrap();
            if answer.status == 429 {
                break 'all;
            }
            passed += 1;
        }
        if passed == 200 {
            let asked = asked(&stage).await - before;
            // A hundred requests of this process, and what passed is told twenty times a second.
            let most = 20.0 + 25.0 * started.elapsed().as_secs_f64();
            assert!(asked < most, "{asked} exchanges, and at most {most} are needed");
        }
    }
    // Each process may let a sixteenth pass before it knows of the other's.
    is_quota(&stage, passed.saturating_sub(600 / 16).max(600), 600, started.elapsed()).await;
}
