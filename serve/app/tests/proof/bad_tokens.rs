//! Credentials that are not good, at every operation.

use foundation::auth::token::{Prefix, Token};
use foundation::clock::SystemRandomness;

use crate::description::{Operation, Who};
use crate::estate::anonymous;
use crate::scene::Scene;
use crate::snapshot::Snapshot;
use crate::stage::Stage;
use crate::support::application::PUBLIC_URL;
use crate::support::seed::{self, ALL_SCOPES};
use crate::wire::Ask;

/// A token that the database has, with something changed in its row.
fn changed(stage: &Stage, organization: uuid::Uuid, change: &str) -> String {
    let token = seed::token(&stage.servers, organization, ALL_SCOPES);
    let hash = format!("sha256('{token}'::bytea)");
    stage.servers.sql(&format!("UPDATE tokens SET {change} WHERE hash = {hash}"), "app");
    token
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn bad_tokens_are_problems_and_write_nothing() {
    let mut scene = Scene::new(2).await;
    let organization = scene.party.organization;
    let good = scene.party.token().to_owned();
    let other = if good.ends_with('a') { 'b' } else { 'a' };
    let unknown = Token::new(&Prefix::new("bst").unwrap(), &SystemRandomness).reveal().to_owned();
    let expired = changed(&scene.stage, organization, "expires_at = now() - interval '1 second'");
    let revoked = changed(&scene.stage, organization, "revoked_at = now()");
    let elsewhere = changed(&scene.stage, organization, "addresses = '{192.0.2.0/24}'");
    scene.before = Snapshot::of_all(&scene.stage.servers);
    let values = [
        ("cut off", format!("Bearer {}", &good[..good.len() - 1])),
        ("with more", format!("Bearer {good}0")),
        ("mistyped", format!("Bearer {}{other}", &good[..good.len() - 1])),
        ("of another product", format!("Bearer abc_{}", &good[4..])),
        ("unknown", format!("Bearer {unknown}")),
        ("expired", format!("Bearer {expired}")),
        ("revoked", format!("Bearer {revoked}")),
        ("in quotes", format!("Bearer \"{good}\"")),
        ("without a scheme", good.clone()),
        ("of another scheme", format!("Basic {good}")),
        ("empty", "Bearer ".to_owned()),
        ("nothing", String::new()),
        ("long", format!("Bearer {}", "a".repeat(20_000))),
        ("not ASCII", "Bearer \u{e9}".to_owned()),
        ("SQL", "Bearer ' OR 1=1--".to_owned()),
    ];
    for operation in scene.operations.clone().into_iter().filter(|one| one.who != Who::Anybody) {
        let label = operation.label();
        let ask = scene.with_body(&operation, anonymous(&operation, &scene.estate.at(&operation)));
        for (what, value) in &values {
            let ask = ask.clone().header("authorization", value);
            scene.refuses(&format!("{label} with a token that is {what}"), &ask, &["bad-credentials"]).await;
        }
        let away = ask.clone().bearer(&elsewhere);
        scene.refuses(&format!("{label} from elsewhere"), &away, &["address-not-allowed"]).await;
        let two = ask.clone().bearer(&good).header("authorization", format!("Bearer {good}"));
        scene.refuses(&format!("{label} with two tokens"), &two, &["ambiguous-credentials"]).await;
        let person =
            scene.with_body(&operation, scene.party.as_person(&operation, &scene.estate.at(&operation)));
        let both = person.clone().bearer(&good);
        scene.refuses(&format!("{label} with token and cookie"), &both, &["ambiguous-credentials"]).await;
        bad_sessions(&mut scene, &operation, &person).await;
    }
    scene.assert_nothing_written();
}

async fn bad_sessions(scene: &mut Scene, operation: &Operation, person: &Ask) {
    let label = operation.label();
    for cookie in ["__Host-session=", "__Host-session=x", &format!("__Host-session={}", "A".repeat(43))] {
        let ask = person.clone().instead("cookie", cookie);
        scene.refuses(&format!("{label} with {cookie}"), &ask, &["unauthenticated"]).await;
    }
    if operation.writes() {
        for origin in ["https://evil.example", "null", "", &format!("{PUBLIC_URL}.evil.example")] {
            let ask = person.clone().instead("origin", origin);
            scene.refuses(&format!("{label} from {origin:?}"), &ask, &["cross-site"]).await;
        }
        let ask = person.clone().without("origin");
        scene.refuses(&format!("{label} from nowhere"), &ask, &["cross-site"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn clocks_that_differ_by_minutes_matter_to_no_token_but_one_that_just_expires() {
    let stage = Stage::new().await;
    let lists = |token: String| stage.caller(token);
    let ahead = changed(&stage, stage.organization, "created_at = now() + interval '5 minutes'");
    assert_eq!(
        lists(ahead).get("/api/v1/projects").await.status,
        200,
        "a token that was made by a clock ahead"
    );
    let last = changed(&stage, stage.organization, "expires_at = now() + interval '2 seconds'");
    let caller = lists(last);
    assert_eq!(caller.get("/api/v1/projects").await.status, 200);
    let started = std::time::Instant::now();
    while caller.get("/api/v1/projects").await.status == 200 {
        assert!(started.elapsed().as_secs() < 10, "an expired token is taken");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(started.elapsed().as_secs_f64() > 1.0, "it was refused before its time");
    let revoked = seed::token(&stage.servers, stage.organization, ALL_SCOPES);
    let caller = lists(revoked.clone());
    assert_eq!(caller.get("/api/v1/projects").await.status, 200);
    let hash = format!("sha256('{revoked}'::bytea)");
    stage.servers.sql(
        &format!("UPDATE tokens SET revoked_at = now() + interval '5 minutes' WHERE hash = {hash}"),
        "app",
    );
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(caller.get("/api/v1/projects").await.status, 401, "a revocation depends on no clock");
}
