//! Where login providers are asked, and what becomes of those who do not answer.

use std::time::Duration;

use login_providers::{Fault, Provider};
use tokio::net::TcpListener;
use tokio::time::Instant;
use url::Url;

use super::super::Standing;
use super::super::error::UpstreamError;
use super::super::manner::{Manner as _, Wish};
use super::super::openid_connect::OpenIdConnect;
use super::scene::Scene;
use crate::pages::Failure;

/// A place to which nobody should come, and whether somebody has.
async fn elsewhere() -> (Url, impl AsyncFn() -> bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/secrets", listener.local_addr().unwrap().port());
    let came =
        async move || tokio::time::timeout(Duration::from_millis(100), listener.accept()).await.is_ok();
    (url.parse().unwrap(), came)
}

#[tokio::test]
async fn a_description_leads_to_no_other_site() {
    let scene = Scene::new().await;
    let (url, came) = elsewhere().await;
    for (provider, name) in
        [(Provider::Google, "google"), (Provider::Microsoft, "microsoft"), (Provider::Google, "fifth")]
    {
        scene.world.does_wrong(provider, Some(Fault::DescriptionLeads { to: url.clone() }));
        let error = scene.source(name).prepare().await.unwrap_err();
        assert!(matches!(error, UpstreamError::Description { .. }), "{name}: {error}");
        assert_eq!((error.failure(), error.denial()), (Failure::ProviderUnavailable, None));
        scene.world.does_wrong(provider, None);
    }
    scene.world.does_wrong(Provider::Apple, Some(Fault::OtherDescription));
    let error = scene.source("apple").prepare().await.unwrap_err();
    assert!(matches!(error, UpstreamError::Description { problem: "is another issuer's", .. }), "{error}");
    assert!(!came().await);
}

#[tokio::test]
async fn a_fifth_provider_is_at_the_hosts_that_the_configuration_names() {
    let fifth = |hosts: &[&str]| {
        let at = Url::parse("https://login.example.test").ok();
        let hosts = hosts.iter().map(ToString::to_string).collect();
        OpenIdConnect::new(at, hosts, false).hosts()
    };
    let token: Url = "https://tokens.example.test/token".parse().unwrap();
    assert!(!fifth(&[]).have(&token));
    let known = fifth(&["tokens.example.test"]);
    assert!(known.have(&token) && known.have(&"https://login.example.test/keys".parse().unwrap()));
    for elsewhere in [
        "http://tokens.example.test/token",
        "https://tokens.example.test:8443/token",
        "https://a.tokens.example.test/token",
        "https://user@tokens.example.test/token",
    ] {
        assert!(!known.have(&elsewhere.parse().unwrap()), "{elsewhere}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed_and_answers_are_bounded() {
    let scene = Scene::new().await;
    let (url, came) = elsewhere().await;
    for name in ["google", "github", "microsoft", "apple"] {
        let provider = Provider::of(name).unwrap();
        scene.world.does_wrong(provider, Some(Fault::TokenRedirects { to: url.clone() }));
        let error = scene.identify(name).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Status { .. }), "{name}: {error}");
        scene.world.does_wrong(provider, Some(Fault::Nonsense));
        let error = scene.identify(name).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Http { .. }), "{name}: {error}");
        let (attempt, returned) = scene.comes_back(name, &Wish::default()).await;
        scene.world.does_wrong(provider, Some(Fault::TooLong));
        let error = scene.source(name).identify(&attempt, &returned).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Http { .. }), "{name}: {error}");
    }
    assert!(!came().await);
}

#[tokio::test]
async fn one_that_is_down_is_left_alone_and_slows_no_other() {
    let mut scene = Scene::new().await;
    assert!(scene.identify("google").await.is_ok() && scene.identify("apple").await.is_ok());
    let (attempt, returned) = scene.comes_back("google", &Wish::default()).await;
    scene.world.stop(Provider::Google).await;
    for _ in 0..3 {
        assert_eq!(scene.source("google").wire.health.standing(), Standing::Ok);
        let error = scene.source("google").probe().await.unwrap_err();
        assert_eq!(error.failure(), Failure::ProviderUnavailable);
    }
    let standing: Vec<_> = scene.upstreams.0.iter().map(|source| source.wire.health.standing()).collect();
    let (ok, unavailable) = (Standing::Ok, Standing::Unavailable);
    assert_eq!(standing, [unavailable, ok, ok, ok, ok]);
    let error = scene.source("google").identify(&attempt, &returned).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Resting), "{error}");
    assert!(scene.identify("apple").await.is_ok() && scene.identify("github").await.is_ok());
    let metrics = foundation::telemetry::Metrics::new("identity", "1", "r");
    scene.upstreams.register(&metrics);
    let text = metrics.text();
    for line in [
        "identity_login_provider_up{provider=\"google\"} 0",
        "identity_login_provider_up{provider=\"apple\"} 1",
        "identity_login_provider_failures_total{provider=\"google\"} 3",
        "identity_credential_days_left{provider=\"apple\",credential=\"client-secret\"} 89.",
        "identity_credential_days_left{provider=\"microsoft\",credential=\"certificate\"} ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("credential_days_left{provider=\"github\""), "{text}");
}

#[tokio::test]
async fn one_that_is_slow_is_given_up_in_time() {
    let scene = Scene::new().await;
    let (attempt, returned) = scene.comes_back("github", &Wish::default()).await;
    scene.world.does_wrong(Provider::Github, Some(Fault::Slow { milliseconds: 30_000 }));
    let started = Instant::now();
    let slow = scene.source("github").identify(&attempt, &returned);
    let (slow, other) = tokio::join!(slow, async {
        let other = scene.identify("microsoft").await;
        (other.is_ok(), started.elapsed())
    });
    assert_eq!(slow.unwrap_err().failure(), Failure::ProviderUnavailable);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(other.0 && other.1 < started.elapsed(), "the other one did not wait");
}

#[tokio::test]
async fn errors_of_the_server_count_and_refusals_do_not() {
    let scene = Scene::new().await;
    for _ in 0..5 {
        let (attempt, returned) = scene.comes_back("google", &Wish::default()).await;
        let guessed = super::super::returned::Returned { code: Some("guessed".to_owned()), ..returned };
        let error = scene.source("google").identify(&attempt, &guessed).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Code), "{error}");
    }
    assert_eq!(scene.source("google").wire.health.standing(), Standing::Ok);
    scene.world.does_wrong(Provider::Google, Some(Fault::Down));
    for _ in 0..3 {
        assert!(scene.source("google").probe().await.is_err());
    }
    assert_eq!(scene.source("google").wire.health.standing(), Standing::Unavailable);
}
