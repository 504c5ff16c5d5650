//! A webhook from the event to a receiver and back.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use foundation::clock::{Clock, SystemClock, SystemRandomness};
use foundation::jobs::{Queue, Registry};
use foundation::seal::KeyRing;
use foundation::webhook::address::Allowed;
use foundation::webhook::client::{Client, Limits};
use foundation::webhook::deliver::Deliver;
use foundation::webhook::delivery;
use foundation::webhook::endpoint::{self, NewEndpoint};
use foundation::webhook::event::{Dispatch, Event};
use foundation::webhook::resolve::Resolve;
use foundation::webhook::sign::signatures;
use foundation::webhook::sweep::Sweeper;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::platform::{Platform, eventually};

/// Endpoints of the test are named by their addresses.
struct NoNames;

impl Resolve for NoNames {
    fn resolve<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Answers with these statuses, one a request, then 200, and keeps the requests.
async fn receiver(statuses: Vec<u16>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&requests);
    tokio::spawn(async move {
        let mut statuses = statuses.into_iter();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 8192];
            let mut length = stream.read(&mut request).await.unwrap();
            while !request[..length].ends_with(b"}") {
                length += stream.read(&mut request[length..]).await.unwrap();
            }
            kept.lock().unwrap().push(String::from_utf8(request[..length].to_vec()).unwrap());
            let status = statuses.next().unwrap_or(200);
            let answer = format!("HTTP/1.1 {status} Said\r\nContent-Length: 4\r\n\r\nnote");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, requests)
}

/// Takes connections and never answers; how many it has.
async fn silent() -> (u16, Arc<Mutex<Vec<TcpStream>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let held: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let kept = Arc::clone(&held);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            kept.lock().unwrap().push(stream);
        }
    });
    (port, held)
}

/// Dispatches and delivers, to this machine as well, with secrets that these keys open.
fn handlers(platform: &Platform, keys: &Arc<KeyRing>) -> Registry {
    let limits = Limits {
        allowed: Allowed::also(vec!["127.0.0.1/32".parse().unwrap()]),
        plain: true,
        ..Limits::default()
    };
    let deliver = Deliver {
        database: platform.database().clone(),
        queue: Queue::new(platform.valkey()),
        client: Client::new(Arc::new(NoNames), &[], limits).unwrap(),
        keys: Arc::clone(keys),
        clock: Arc::new(SystemClock),
        randomness: Arc::new(SystemRandomness),
    };
    let (clock, randomness) = (Arc::new(SystemClock), Arc::new(SystemRandomness));
    let dispatch =
        Dispatch::new(platform.database().clone(), Queue::new(platform.valkey()), clock, randomness);
    Registry::default().with(deliver).with(dispatch)
}

fn header(request: &str, name: &str) -> String {
    let line = request.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {request}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_event_is_delivered_signed_tried_again_replayed_and_ends_with_gone() {
    let platform = Platform::start().await;
    let (port, requests) = receiver(vec![500, 200, 200, 410]).await;
    let keys = Arc::new(KeyRing::parse("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap());
    let worker = platform.work(handlers(&platform, &keys));

    let (mine, other) = (platform.id(), platform.id());
    let mut secrets = Vec::new();
    for organization in [mine, other] {
        let url = format!("http://127.0.0.1:{port}/{organization}");
        let new = NewEndpoint {
            organization_id: organization,
            url,
            description: String::new(),
            events: vec!["task.made".to_owned()],
            created_by: organization,
        };
        let made = platform.write(organization, async |unit| endpoint::create(unit, &keys, &new).await);
        let (id, secret) = made.await;
        let overlap = Duration::from_secs(600);
        let newer = platform
            .write(organization, async |unit| endpoint::rotate(unit, &keys, organization, id, overlap).await)
            .await;
        secrets.push([newer, secret]);
    }
    let event = |kind: &str| Event {
        kind: kind.to_owned(),
        timestamp: SystemClock.now(),
        data: json!({"title": "é"}),
    };
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for kind in ["task.made", "task.unwanted"] {
        let job = event(kind).job(mine, &SystemClock, &SystemRandomness).unwrap();
        let job = job.caused_by(Some("request-7".to_owned()), Some(traceparent.to_owned()));
        platform.enqueue(&job).await.unwrap();
    }
    eventually("the delivery after a failure", || {
        platform.sql("SELECT state FROM webhook_deliveries") == "delivered"
    })
    .await;
    {
        let requests = requests.lock().unwrap();
        assert_eq!(requests.len(), 2);
        assert_eq!(header(&requests[0], "webhook-id"), header(&requests[1], "webhook-id"));
        assert_ne!(header(&requests[0], "webhook-timestamp"), header(&requests[1], "webhook-timestamp"));
        for request in requests.iter() {
            assert!(request.starts_with(&format!("POST /{mine} ")), "{request}");
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            let timestamp = header(request, "webhook-timestamp").parse().unwrap();
            let expected =
                signatures(&secrets[0], &header(request, "webhook-id"), timestamp, body.as_bytes());
            assert_eq!(header(request, "webhook-signature"), expected);
            // In the name and trace of the request, each attempt in a span of its own.
            assert_eq!(header(request, "x-request-id"), "request-7");
            let trace = header(request, "traceparent");
            assert!(trace.starts_with(&traceparent[..36]) && trace != traceparent, "{trace}");
        }
    }
    assert_eq!(
        platform.sql("SELECT string_agg(status || excerpt, ' ' ORDER BY id) FROM webhook_attempts"),
        "500note 200note"
    );

    let delivery: Uuid = platform.sql("SELECT id FROM webhook_deliveries").parse().unwrap();
    platform.write(mine, async |unit| delivery::replay(unit, mine, delivery).await).await;
    eventually("the replay", || platform.sql("SELECT count(*) FROM webhook_attempts") == "3").await;
    platform.enqueue(&event("task.made").job(mine, &SystemClock, &SystemRandomness).unwrap()).await.unwrap();
    eventually("the endpoint to be disabled", || {
        platform.sql("SELECT string_agg(disabled_reason, ',') FROM webhook_endpoints") == "gone"
    })
    .await;
    assert_eq!(
        platform.sql("SELECT count(*) FROM jobs WHERE dead_at IS NOT NULL"),
        "0",
        "what a receiver refuses is nothing for the operator"
    );
    let mut connection = platform.database().connection().await.unwrap();
    let transaction = connection.transaction().await.unwrap();
    enter(&transaction, other).await;
    let seen: i64 =
        transaction.query_one("SELECT count(*) FROM webhook_deliveries", &[]).await.unwrap().get(0);
    assert_eq!(seen, 0, "another organization sees no delivery");
    drop(transaction);
    worker.stop().await;

    // What is young or still tried stays.
    let sweeper =
        |kept| Sweeper::new(platform.database().clone(), Arc::new(SystemClock), Duration::from_secs(kept));
    assert_eq!(sweeper(3600).sweep().await.unwrap(), 0);
    platform.sql(&format!("UPDATE webhook_deliveries SET state = 'pending' WHERE id = '{delivery}'"));
    let tried = |feed_at: &str| {
        platform.sql(&format!(
            "UPDATE jobs SET feed_at = {feed_at} FROM webhook_deliveries d WHERE d.id = '{delivery}' AND jobs.id = d.job_id"
        ));
    };
    tried("now()");
    sweeper(0).sweep().await.unwrap();
    assert_eq!(platform.sql("SELECT id FROM webhook_deliveries"), delivery.to_string());
    assert_eq!(platform.sql("SELECT count(*) FROM webhook_messages"), "1");
    // Whatever its state says, nobody tries it any more.
    tried("NULL");
    sweeper(0).sweep().await.unwrap();
    assert_eq!(platform.sql("SELECT count(*) FROM webhook_messages"), "0");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_delivery_whose_secret_cannot_be_opened_ends_as_failed_and_its_job_is_the_operator_s() {
    let platform = Platform::start().await;
    let (port, requests) = receiver(Vec::new()).await;
    let then = KeyRing::parse("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    let now = KeyRing::parse("k2:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    let worker = platform.work(handlers(&platform, &Arc::new(now)));
    let mine = platform.id();
    let new = NewEndpoint {
        organization_id: mine,
        url: format!("http://127.0.0.1:{port}/"),
        description: String::new(),
        events: Vec::new(),
        created_by: mine,
    };
    platform.write(mine, async |unit| endpoint::create(unit, &then, &new).await).await;
    let event = Event { kind: "task.made".to_owned(), timestamp: SystemClock.now(), data: json!({}) };
    platform.enqueue(&event.job(mine, &SystemClock, &SystemRandomness).unwrap()).await.unwrap();
    let job = |what: &str| platform.sql(&format!("SELECT {what} FROM jobs WHERE kind = 'webhook.deliver'"));
    eventually("the first attempt", || job("last_error IS NOT NULL") == "t").await;
    assert_eq!(platform.sql("SELECT state FROM webhook_deliveries"), "pending", "the key may come back");
    platform.sql("UPDATE jobs SET max_attempts = 2 WHERE kind = 'webhook.deliver'");
    eventually("the last attempt", || job("dead_at IS NOT NULL") == "t").await;
    assert_eq!(platform.sql("SELECT state FROM webhook_deliveries"), "failed");
    assert_eq!(platform.sql("SELECT error FROM webhook_attempts"), "this server could not prepare it");
    assert!(requests.lock().unwrap().is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn silent_receivers_of_one_organization_keep_no_other_waiting() {
    let platform = Platform::start().await;
    let ((silent, held), (port, requests)) = (silent().await, receiver(Vec::new()).await);
    let keys = Arc::new(KeyRing::parse("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap());
    let (one, other) = (platform.id(), platform.id());
    for (organization, port) in [(one, silent), (other, port)] {
        let new = NewEndpoint {
            organization_id: organization,
            url: format!("http://127.0.0.1:{port}/"),
            description: String::new(),
            events: Vec::new(),
            created_by: organization,
        };
        platform.write(organization, async |unit| endpoint::create(unit, &keys, &new).await).await;
    }
    let worker = platform.work(handlers(&platform, &keys));
    let tell = async |organization| {
        let event = Event { kind: "task.made".to_owned(), timestamp: SystemClock.now(), data: json!({}) };
        platform.enqueue(&event.job(organization, &SystemClock, &SystemRandomness).unwrap()).await.unwrap();
    };
    for _ in 0..20 {
        tell(one).await;
    }
    eventually("the silent receiver to have its share", || held.lock().unwrap().len() >= 4).await;
    eventually("every delivery to be written", || {
        platform.sql("SELECT count(*) FROM webhook_deliveries") == "20"
    })
    .await;
    tell(other).await;
    let before = Instant::now();
    eventually("the other's delivery", || requests.lock().unwrap().len() == 1).await;
    assert!(before.elapsed() < Limits::default().total / 2, "it waited for silent ones");
    assert_eq!(held.lock().unwrap().len(), 4, "and they still have their share");
    worker.stop().await;
}

async fn enter(client: &impl deadpool_postgres::GenericClient, organization: Uuid) {
    let statement = client.prepare_cached("SELECT set_config('app.organization', $1, true)").await.unwrap();
    client.query_one(&statement, &[&organization.to_string()]).await.unwrap();
}
