//! The account's page in the browser.

use foundation::testing::look::look;

use crate::browser;
use crate::support::people;
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer, Valkey and Chromium installed"]
async fn a_person_looks_after_the_account_and_leaves() {
    let stage = Stage::new(people::settings).await;
    let servers = &stage.servers;
    let account = people::account(servers, "ada");
    let (session, cookie) = people::session(servers, account, 1);
    let browser = browser(&stage).await;
    browser.bring(&format!("__Host-session={cookie}")).await;
    browser.open("/account").await;
    look(&browser, "account-first").await;

    let apple = people::identity(servers, account, "apple", Some("k3n8vq5z7w@privaterelay.appleid.com"));
    people::identity(servers, account, "github", None);
    people::identity(
        servers,
        account,
        "microsoft",
        Some("ada.lovelace@a-very-long-name-of-an-organization.example.test"),
    );
    people::identity(servers, account, "gone", Some("ada@elsewhere.test"));
    let (other, _) = people::session(servers, account, 90);
    servers.sql(&format!("UPDATE browser_sessions SET provider = 'recovery' WHERE id = '{other}'"), "app");
    people::session(servers, account, 900);
    people::grant(servers, "app", account, session, "openid offline_access");
    people::grant(servers, "quiet", account, other, "openid");
    browser.open("/account").await;
    look(&browser, "account").await;

    browser.click(&format!("#unlink-{apple}")).await;
    browser.expect("#notice", "Removed.").await;
    look(&browser, "account-notice").await;
    browser.click(&format!("#end-{other}")).await;
    browser.expect("#notice", "Signed out there.").await;
    browser.click("#end-others").await;
    browser.click("#revoke-1").await;
    browser.expect("#notice", "Taken back.").await;
    assert_eq!(stage.count("browser_sessions"), "1");
    assert_eq!(stage.count("grants WHERE ended_at IS NULL"), "0");
    browser.open("/account?notice=taken").await;
    look(&browser, "account-refusal").await;

    browser.click("#add").await;
    browser.expect("h1", "Add another way to sign in").await;
    look(&browser, "add").await;
    browser.open("/sign-in?again=true").await;
    look(&browser, "sign-in-again").await;

    browser.open("/account/delete").await;
    browser.fill("#confirmation", "delete").await;
    browser.click("#delete").await;
    browser.expect("#confirmation-fault", "This is not what is to be typed. Nothing was deleted.").await;
    look(&browser, "delete").await;
    browser.click("#back").await;
    browser.expect("h1", "ada Lovelace").await;
    browser.open("/logout?client_id=app").await;
    look(&browser, "logout").await;
    browser.click("#stay").await;
    browser.expect("h1", "ada Lovelace").await;
    browser.click("#sign-out").await;
    browser.expect("h1", "You are signed out").await;
    look(&browser, "signed-out").await;

    let (_, cookie) = people::session(servers, account, 1);
    browser.bring(&format!("__Host-session={cookie}")).await;
    browser.open("/account/delete").await;
    browser.fill("#confirmation", "delete my account").await;
    browser.click("#delete").await;
    browser.expect("h1", "The account is deleted").await;
    assert_eq!(stage.count("accounts"), "0");
}
