//! Signing in, the question of somebody new, what goes wrong, and an operator's link.

use foundation::testing::look::look;

use crate::browser;
use crate::support::people;
use crate::support::stage::Stage;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer, Valkey and Chromium installed"]
async fn everything_on_the_way_in_can_be_seen_and_used() {
    let stage = Stage::new(people::settings).await;
    people::account(&stage.servers, "ada");
    let browser = browser(&stage).await;
    browser.open("/sign-in").await;
    look(&browser, "sign-in").await;
    // The buttons are reached in their order, and each is seen to be.
    browser.keys(TAB).await;
    assert_eq!(browser.run("return document.activeElement.className").await, "skip");
    for name in ["google", "github", "microsoft", "apple"] {
        browser.keys(TAB).await;
        assert_eq!(browser.run("return document.activeElement.id").await, format!("sign-in-{name}"));
        let outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle").await;
        assert_eq!(outline, "solid", "{name}");
    }
    // For a client that wants more than to know who it is.
    browser.open(&format!("/authorize?{}", people::ASKS_FOR_TOKENS)).await;
    browser.expect("h1", "Sign in to Garden planner").await;
    browser.expect("#cancel", "Back to Garden planner").await;
    look(&browser, "sign-in-to-client").await;

    browser.open("/sign-in").await;
    let state = people::state_of(&browser.source().await);
    let (name, value) = people::waiting(&stage.servers, &state, "t:o", "ada@example.test");
    browser.bring(&format!("{name}={value}")).await;
    browser.open(&format!("/linking/{state}")).await;
    browser.expect("h1", "Have you been here before?").await;
    look(&browser, "question").await;
    browser.click("#go-on-as-new").await;
    browser.expect("h1", "Ada").await;
    browser.forget().await;

    browser.open(&format!("/linking/{state}")).await;
    browser.expect("h1", "That took too long").await;
    look(&browser, "failed").await;
    browser.open("/nowhere").await;
    look(&browser, "problem").await;

    let link = stage.issuer.run(&["recover", "ada@example.test"]).stdout;
    // Two accounts have the address by now.
    assert!(link.is_empty());
    let account = stage.servers.sql("SELECT account_id FROM identities WHERE provider = 'google'", "app");
    let link = String::from_utf8(stage.issuer.run(&["recover", &account]).stdout).unwrap();
    let path = link.trim().strip_prefix(crate::support::stage::ISSUER).unwrap().to_owned();
    browser.open(&path).await;
    look(&browser, "recover").await;
    browser.keys(&format!("{TAB}{TAB}{ENTER}")).await;
    browser.expect("h1", "ada Lovelace").await;
    browser.forget().await;
    browser.open(&path).await;
    browser.click("#recover").await;
    browser.expect("h1", "This link does not work").await;
    look(&browser, "recover-ended").await;
}
