use std::time::{Duration, Instant};

use foundation::testing::program::Program;
use serde_json::Value;

use crate::scene::Scene;
use crate::support::stage::{BINARY, environment};

fn kids(published: &str, algorithm: &str) -> Vec<String> {
    let published: Value = serde_json::from_str(published).unwrap();
    let keys = published["keys"].as_array().unwrap().iter().filter(|key| key["alg"] == algorithm);
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Asks until the issuer publishes so many keys.
async fn published(scene: &Scene, count: usize) -> Vec<String> {
    let started = Instant::now();
    loop {
        let found = kids(&scene.stage.issuer.get("/keys").await.text, "ES256");
        if found.len() == count {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{} keys and not {count}", found.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Signs people in until the token is signed by another key than this, or by this one.
async fn signed(scene: &Scene, kid: &str, is: bool) -> String {
    let ada = scene.person();
    let started = Instant::now();
    loop {
        let token = scene.tokens(&ada, &[]).await["id_token"].as_str().unwrap().to_owned();
        // Whoever has the key set of now can verify it, whatever happens meanwhile.
        let (found, _) = scene.verified(&token).await.expect("a published key has signed it");
        if (found == kid) == is {
            return token;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "still signed by {found}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn keys_follow_each_other_without_a_restart_and_without_a_failed_login() {
    let scene = Scene::new().await;
    let old = published(&scene, 1).await.remove(0);
    let before = signed(&scene, &old, true).await;
    let rotated = scene.stage.issuer.run(&["keys", "rotate"]);
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    assert_eq!(String::from_utf8_lossy(&rotated.stdout).lines().count(), 4, "two of each algorithm");
    // Once more makes no more.
    assert!(scene.stage.issuer.run(&["keys", "rotate"]).status.success());
    let both = published(&scene, 2).await;
    let new = both.into_iter().find(|kid| *kid != old).unwrap();
    signed(&scene, &old, true).await;
    // A day goes by.
    scene.sql("UPDATE signing_keys SET signs_from = signs_from - interval '1 day' WHERE signs_from > now()");
    signed(&scene, &new, true).await;
    assert!(scene.verified(&before).await.is_some(), "what was signed before is still believed");
    // Another day.
    scene.sql("UPDATE signing_keys SET published_until = now() WHERE published_until IS NOT NULL");
    assert_eq!(published(&scene, 1).await, [new]);
    assert!(scene.verified(&before).await.is_none());
    // As a hint it says for good who is meant.
    let answer = scene.stage.issuer.get(&format!("/logout?id_token_hint={before}")).await;
    assert_ne!(answer.status, 400);
    assert_eq!(scene.audited("signing-key.create").lines().count(), 4);
    assert!(
        scene.stage.issuer.metrics().await.contains("identity_signing_key_age_seconds{algorithm=\"ES256\"}")
    );
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_somebody_else_may_have_is_forgotten_at_once() {
    let scene = Scene::new().await;
    let old = published(&scene, 1).await.remove(0);
    let before = signed(&scene, &old, true).await;
    let rotated = scene.stage.issuer.run(&["keys", "rotate", "--now"]);
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    let started = Instant::now();
    while kids(&scene.stage.issuer.get("/keys").await.text, "ES256") == [old.clone()] {
        assert!(started.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    signed(&scene, &old, false).await;
    let answer = scene.stage.issuer.get(&format!("/logout?id_token_hint={before}")).await;
    assert_eq!(answer.status, 400, "nobody believes it any more");
    assert_eq!(scene.stage.count("signing_keys"), "2");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_have_the_same_keys() {
    let scene = Scene::new().await;
    scene.sql("DELETE FROM signing_keys");
    let settings = std::fs::read_to_string(scene.stage.servers.path("identity.toml")).unwrap();
    let start = || {
        Program::start(BINARY, "serve", &scene.stage.servers, environment(&scene.stage.servers, &settings))
    };
    let programs = [start(), start(), start()];
    let mut sets = Vec::new();
    for program in &programs {
        program.wait_for_missing(&[]).await;
        sets.push(kids(&program.get("/keys").await.text, "ES256"));
    }
    assert_eq!(sets[0].len(), 1);
    assert!(sets.iter().all(|set| *set == sets[0]), "{sets:?}");
    assert_eq!(scene.stage.count("signing_keys"), "2");
    let sealed = scene.sql("SELECT string_agg(encode(sealed, 'escape'), '') FROM signing_keys");
    assert!(!sealed.contains("PRIVATE"));
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_opened_stop_no_sign_in() {
    let scene = Scene::new().await;
    let old = published(&scene, 1).await.remove(0);
    // As after a restore without the sealing key that they were sealed with.
    scene.sql("UPDATE signing_keys SET key_id = 'lost'");
    let settings = std::fs::read_to_string(scene.stage.servers.path("identity.toml")).unwrap();
    let variables = environment(&scene.stage.servers, &settings);
    let after = Program::start(BINARY, "serve", &scene.stage.servers, variables);
    after.wait_for_missing(&[]).await;
    let found = kids(&after.get("/keys").await.text, "ES256");
    assert!(found.len() == 1 && found[0] != old, "{found:?}");
    let said = after.log();
    assert!(said.iter().any(|line| line.to_string().contains("identity keys rotate --now")), "{said:?}");
    assert_eq!(scene.stage.count("signing_keys"), "4", "what another process may open stays");
    assert!(after.metrics().await.contains("identity_ready_check_up{check=\"signing key\"} 1"));
    let rotated = scene.stage.issuer.run(&["keys", "rotate", "--now"]);
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    assert_eq!(scene.stage.count("signing_keys"), "2");
}
