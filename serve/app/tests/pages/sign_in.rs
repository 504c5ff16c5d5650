//! Signing in and out at the issuer, and the first steps of somebody new.

use foundation::testing::chromium::Browser;
use foundation::testing::issuer::{Fault, Identity};
use foundation::testing::look::look;

use crate::SITE;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer, Valkey and Chromium installed"]
async fn somebody_new_signs_in_makes_an_organization_and_signs_out() {
    let stage = Stage::new().await;
    stage.issuer.awaits(Some(Identity::of("ada")));
    let browser = Browser::start(SITE, &[("app.example.test", stage.application.port)]).await;
    // A link to a page leads there, by way of the issuer.
    browser.open("/organizations").await;
    assert_eq!(browser.path().await, "/organizations");
    browser.open("/").await;
    look(&browser, "home-nowhere").await;
    browser.press("Make or choose an organization").await;
    browser.fill("#name", "Gardeners").await;
    browser.press("Make organization").await;
    browser.expect("[role=status]", "Done: it is made.").await;
    browser.expect("h1", "Gardeners").await;
    browser.press("New project").await;
    browser.fill("#name", "Garden").await;
    browser.press("Make project").await;
    browser.expect("h1", "Garden").await;
    // The form leads to the issuer, which the policy of pages allows, and from there back.
    browser.press("Sign out").await;
    browser.wait_for("the front page", async || browser.path().await == "/").await;
    browser.expect("h1", "Projects and tasks, for people and agents").await;
    browser.press("Sign in").await;
    browser.expect("h1", "Gardeners").await;

    browser.forget().await;
    stage.issuer.does_wrong(Some(Fault::WrongNonce));
    browser.open("/sign-in?return_to=/tasks").await;
    browser.expect("h1", "You are not signed in").await;
    look(&browser, "sign-in-failed").await;
    stage.issuer.does_wrong(None);
    browser.press("Sign in again").await;
    browser.expect("h1", "Gardeners").await;
    assert!(browser.path().await.starts_with('/'), "{SITE}");
}
