//! Where a login provider's own answers may lead the issuer: nowhere but to that provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use login_providers::{Fault, Provider};
use tokio::net::TcpListener;
use tokio::time::Instant;
use url::Url;

use crate::scene::{SESSION, Scene};
use crate::support::stage::ISSUER;
use crate::world::at;

/// Something on this machine that the issuer must not be made to ask; how often somebody has come.
async fn inside() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, came) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&came);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, came)
}

/// Starts the issuer anew, which knows nothing of its providers then, and waits until it has asked Google.
async fn starts_anew(scene: &mut Scene) {
    let asked = |scene: &Scene| scene.world.asked_for(Provider::Google, "/.well-known/openid-configuration");
    let before = asked(scene);
    scene.stage.issuer.kill();
    scene.stage.issuer.start_again(&[]);
    scene.stage.issuer.wait_for_missing(&[]).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while asked(scene) == before {
        assert!(Instant::now() < deadline, "nobody has asked Google for its description");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn ssrf_through_discovery() {
    let mut scene = Scene::new().await;
    let (port, came) = inside().await;
    let places = [
        format!("https://127.0.0.1:{port}/keys"),
        format!("https://localhost:{port}/keys"),
        format!("https://[::1]:{port}/keys"),
        format!("https://2130706433:{port}/keys"),
        format!("http://127.0.0.1:{port}/keys"),
        "https://169.254.169.254/latest/meta-data/iam".to_owned(),
        "file:///etc/passwd".to_owned(),
    ];
    let faults = places.iter().flat_map(|place| {
        let to: Url = place.parse().unwrap();
        // By what the description says, and by being sent on from the description, the keys or the tokens.
        [Fault::DescriptionLeads { to: to.clone() }, Fault::Redirects { to }]
    });
    for fault in faults {
        scene.world.does_wrong(Provider::Google, Some(fault.clone()));
        starts_anew(&mut scene).await;
        let mut browser = scene.browser();
        let state = scene.begun(&mut browser).await;
        let answer = browser.post(&at(&format!("/attempts/{state}/google")), ISSUER, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (503, ""), "{fault:?}");
        assert!(answer.text.contains("The provider does not answer"), "{}", answer.text);
        // Neither does the page say what was found there.
        assert!(!answer.text.contains("127.0.0.1") && !answer.text.contains("169.254"), "{}", answer.text);
    }
    // Later, when the description is known and good.
    scene.world.does_wrong(Provider::Google, None);
    starts_anew(&mut scene).await;
    let mut browser = scene.browser();
    for place in &places {
        let to: Url = place.parse().unwrap();
        let state = scene.begun(&mut browser).await;
        scene.world.does_wrong(Provider::Google, None);
        let back = scene.returns(&mut browser, &state, "google").await;
        scene.world.does_wrong(Provider::Google, Some(Fault::TokenRedirects { to }));
        assert_eq!(browser.open(&back).await.status, 503, "{place}");
    }
    assert!(browser.cookie(ISSUER, SESSION).is_none());
    assert_eq!(came.load(Ordering::Relaxed), 0, "nobody has come");
}
