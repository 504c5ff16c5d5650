//! The whole way in a real browser: its own rules for forms, redirects and cookies hold.

use foundation::testing::look::look;

use login_providers::{Fault, Provider};

use crate::browser;
use crate::world::{NAMES, Scene};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer, Valkey and Chromium installed"]
async fn a_browser_goes_to_each_provider_and_comes_back() {
    let scene = Scene::new().await;
    let browser = browser(&scene.stage).await;
    for name in NAMES {
        browser.forget().await;
        browser.open("/sign-in").await;
        browser.click(&format!("#sign-in-{name}")).await;
        if name == "apple" && browser.path().await.starts_with("https://localhost") {
            browser.click("button").await;
        }
        if name == "microsoft" {
            browser.expect("h1", "Have you been here before?").await;
            browser.click("#sign-in-github").await;
        }
        browser.expect("h1", "Ada Lovelace").await;
        assert!(browser.path().await.starts_with("/account"), "{name}");
    }
    // With Google she has another address, and so another account.
    assert_eq!(scene.stage.count("accounts"), "2");
    scene.world.does_wrong(Provider::Google, Some(Fault::Nonsense));
    browser.forget().await;
    browser.open("/sign-in").await;
    browser.click("#sign-in-google").await;
    browser.expect("#failure strong", "The provider does not answer").await;
    look(&browser, "sign-in-failure").await;
    browser.open("/authorize?client_id=nobody").await;
    browser.expect("h1", "That site cannot let you sign in here").await;
    look(&browser, "problem-of-a-client").await;
}
