//! An organization's people, agents, log and settings in the browser.

use foundation::testing::look::look;

use crate::stage::Stage;
use crate::work::signed_in;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer, Valkey and Chromium installed"]
async fn an_owner_runs_the_organization() {
    let stage = Stage::new().await;
    let browser = signed_in(&stage, "Ada Lovelace", "owner").await;
    let other = signed_in(&stage, "Charles Babbage", "member").await;
    browser.open("/members").await;
    look(&browser, "members").await;
    browser.press("Invite somebody").await;
    look(&browser, "invite").await;
    browser.fill("#email", "grace@example.test").await;
    browser.press("Make invitation").await;
    look(&browser, "invited").await;
    let link = browser.value("#secret").await;
    browser.open("/members/invitations").await;
    look(&browser, "invitations").await;
    let path = link.strip_prefix(crate::SITE).unwrap().to_owned();
    other.open(&path).await;
    look(&other, "offer").await;
    other.forget().await;
    other.open(&path).await;
    look(&other, "offer-signed-out").await;

    browser.open("/agents").await;
    look(&browser, "agents-empty").await;
    browser.press("New agent").await;
    look(&browser, "agent-new").await;
    browser.fill("#name", "Release bot").await;
    browser.press("Make agent").await;
    look(&browser, "agent-empty").await;
    browser.press("New token").await;
    look(&browser, "token-new").await;
    browser.fill("#name", "Nightly build").await;
    browser.press("Mint token").await;
    look(&browser, "token-refused").await;
    browser.click("input[value='tasks:read']").await;
    browser.press("Mint token").await;
    look(&browser, "token-minted").await;
    browser.press("I have kept it").await;
    look(&browser, "token").await;
    browser.press("Rotate token").await;
    browser.press("I have kept it").await;
    browser.press("Release bot").await;
    look(&browser, "agent").await;
    browser.open("/agents").await;
    look(&browser, "agents").await;

    browser.open("/webhooks").await;
    look(&browser, "webhooks-empty").await;
    browser.press("New webhook").await;
    look(&browser, "webhook-new").await;
    browser.fill("#url", "https://10.0.0.1/inside").await;
    browser.press("Make webhook").await;
    look(&browser, "webhook-refused").await;
    browser.fill("#url", "https://hooks.example.com/bastide").await;
    browser.click("input[value='task.created']").await;
    browser.press("Make webhook").await;
    look(&browser, "webhook-secret").await;
    browser.press("I have kept it").await;
    browser.press("Send a test").await;
    let was_tried = async || {
        browser.reload().await;
        browser.text("main").await.contains(" ms")
    };
    browser.wait_for("an attempt", was_tried).await;
    look(&browser, "delivery").await;
    browser.press("https://hooks.example.com/bastide").await;
    look(&browser, "webhook").await;
    browser.press("Edit").await;
    look(&browser, "webhook-edit").await;
    browser.click("input[name='enabled']").await;
    browser.press("Save").await;
    look(&browser, "webhook-disabled").await;
    browser.open("/webhooks").await;
    look(&browser, "webhooks").await;

    browser.open("/audit").await;
    browser.click(".events summary").await;
    look(&browser, "audit").await;
    browser.open("/audit/verification").await;
    look(&browser, "verification").await;
    browser.open("/settings").await;
    browser.press("Delete this organization").await;
    look(&browser, "settings").await;
    browser.open("/organizations").await;
    look(&browser, "organizations").await;
    browser.open("/sessions").await;
    look(&browser, "sessions").await;
    browser.open("/").await;
    look(&browser, "home-activity").await;
}
