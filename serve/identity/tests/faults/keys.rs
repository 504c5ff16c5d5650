use std::time::Duration;

use foundation::testing::program::Program;
use login_providers::Provider;
use rustix::process::Signal;
use tokio::time::Instant;

use crate::scene::{OFFLINE, SESSION, Scene, encoded, good, returned};
use crate::support::browser::Browser;
use crate::support::people::state_of;
use crate::support::stage::ISSUER;
use crate::world::at;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_provider_signs_with_a_new_key_while_somebody_is_there() {
    let scene = Scene::new().await;
    for (name, provider) in
        [("google", Provider::Google), ("microsoft", Provider::Microsoft), ("apple", Provider::Apple)]
    {
        let mut browser = scene.browser();
        scene.enters(&mut browser, name).await;
        let state = scene.begun(&mut browser).await;
        let back = scene.returns(&mut browser, &state, name).await;
        scene.world.rotates_keys(provider);
        let answer = browser.open(&back).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/account"), "{name}");
    }
    assert!(scene.denied().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_issuer_signs_with_a_new_key_while_somebody_signs_in() {
    let scene = Scene::new().await;
    let mut browser = scene.browser();
    scene.enters(&mut browser, "google").await;
    let signed_before = scene.tokens(&mut browser, &[OFFLINE]).await;
    for command in [&["keys", "rotate"][..], &["keys", "rotate", "--now"]] {
        let mut browser = scene.browser();
        let page = browser.open(&at(&format!("/authorize?{}", encoded(&good(&[]))))).await;
        let back = scene.returns(&mut browser, &state_of(&page.text), "google").await;
        assert!(scene.stage.issuer.run(command).status.success());
        let code = returned(&browser.open(&back).await, "code");
        let answer = scene.redeem(&code, &[]).await;
        assert_eq!(answer.status, 200, "{command:?}: {}", answer.text);
        let token = answer.json()["id_token"].as_str().unwrap().to_owned();
        assert!(scene.verified(&token).await.is_some(), "{command:?}");
    }
    // Once every process has seen that the old ones are forgotten, whoever comes is let in by the new ones.
    let deadline = Instant::now() + Duration::from_secs(40);
    while scene.verified(signed_before["id_token"].as_str().unwrap()).await.is_some() {
        assert!(Instant::now() < deadline, "a key that was forgotten is still published");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let refreshed = scene.refresh(signed_before["refresh_token"].as_str().unwrap()).await.json();
    assert!(scene.verified(refreshed["id_token"].as_str().unwrap()).await.is_some());
    let tokens = scene.tokens(&mut browser, &[]).await;
    assert!(scene.verified(tokens["id_token"].as_str().unwrap()).await.is_some());
}

/// With which key this process seals what a browser keeps.
async fn seals_with(scene: &Scene, issuer: &Program) -> String {
    let mut browser = Browser::new(scene.stage.issuer.ca().to_owned()).knows(ISSUER, issuer.port);
    browser.open(&at("/sign-in")).await;
    browser.cookie(ISSUER, "__Host-attempt-").unwrap().split('.').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_seals_follows_its_file_without_a_restart_and_without_a_failed_sign_in() {
    let scene = Scene::new().await;
    let second = scene.stage.issuer.start_another(&scene.stage.servers);
    second.wait_for_missing(&[]).await;
    let file = scene.stage.servers.path("sealing-keys");
    let old = std::fs::read_to_string(&file).unwrap();
    // Begun before, with what the old key has sealed.
    let mut early = scene.browser();
    let state = scene.begun(&mut early).await;
    let back = scene.returns(&mut early, &state, "google").await;
    let mut form = scene.browser();
    let state = scene.begun(&mut form).await;
    let sealed_form = scene.returns(&mut form, &state, "apple").await;

    let new = scene.stage.servers.path("sealing-keys.new");
    std::fs::write(&new, format!("2:{}=\n{old}", "B".repeat(42) + "A")).unwrap();
    std::fs::rename(&new, &file).unwrap();
    // One is told, and the other one finds it by itself.
    scene.stage.issuer.signal(Signal::HUP);
    let deadline = Instant::now() + Duration::from_secs(60);
    while seals_with(&scene, &scene.stage.issuer).await != "2" {
        // Whatever either of them seals meanwhile, the other one opens.
        for (begins, ends) in [(&scene.stage.issuer, &second), (&second, &scene.stage.issuer)] {
            let mut browser = scene.browser().knows(ISSUER, begins.port);
            let state = scene.begun(&mut browser).await;
            browser = browser.knows(ISSUER, ends.port);
            let answer = scene.press(&mut browser, &state, "github").await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("location")),
                (303, "/account"),
                "{}",
                answer.text
            );
        }
        assert!(Instant::now() < deadline, "the new key does not seal");
    }
    let mut late = scene.browser();
    let state = scene.begun(&mut late).await;
    late = late.knows(ISSUER, second.port);
    assert_eq!(
        scene.press(&mut late, &state, "github").await.header("location"),
        "/account",
        "the other process"
    );
    for (browser, back) in [(&mut early, back), (&mut form, sealed_form)] {
        let answer = browser.open(&back).await;
        assert_eq!(answer.status, 303, "what began before ends well: {}", answer.text);
        assert!(browser.cookie(ISSUER, SESSION).is_some());
    }
    // A file that is none changes nothing, and is complained of.
    std::fs::write(&file, "nonsense").unwrap();
    scene.stage.issuer.signal(Signal::HUP);
    let complains = || {
        let log = scene.stage.issuer.log();
        log.iter().any(|line| line["message"] == "the keys of sealed secrets stay as they were")
    };
    foundation::testing::servers::wait_until("somebody to complain", complains);
    scene.enters(&mut scene.browser(), "github").await;
}
