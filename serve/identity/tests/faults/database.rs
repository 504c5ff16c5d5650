use foundation::testing::servers::Server;

use crate::scene::{SESSION, Scene, encoded, good, returned};
use crate::support::people::state_of;
use crate::support::stage::ISSUER;
use crate::tries_again;
use crate::world::at;

const SAYS: &str = "We cannot answer at the moment";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn postgresql_is_away_when_somebody_comes_back() {
    let mut scene = Scene::new().await;
    for provider in ["google", "apple"] {
        let mut browser = scene.browser();
        let page = browser.open(&at(&format!("/authorize?{}", encoded(&good(&[]))))).await;
        let back = scene.returns(&mut browser, &state_of(&page.text), provider).await;
        scene.stage.servers.stop_one(Server::Postgres);
        let mut state = tries_again(&browser.open(&back).await, 503, SAYS);
        // Also while it still is, and the whole way from the client's question can be gone.
        state = tries_again(&scene.press(&mut browser, &state, provider).await, 503, SAYS);
        assert!(browser.cookie(ISSUER, SESSION).is_none());
        assert_eq!(
            scene.browser().open(&at(&format!("/authorize?{}", encoded(&good(&[]))))).await.status,
            200
        );
        scene.stage.servers.start_one(Server::Postgres);
        scene.stage.issuer.wait_for_missing(&[]).await;
        let answer = scene.press(&mut browser, &state, provider).await;
        assert_eq!(returned(&answer, "state"), "the state", "and it leads to where the person wanted to go");
        assert_eq!(scene.redeem(&returned(&answer, "code"), &[]).await.status, 200);
    }
    assert!(scene.denied().is_empty(), "a failure of a machine denies nobody");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn postgresql_is_restarted_between_two_steps() {
    let mut scene = Scene::new().await;
    let mut browser = scene.browser();
    let page = browser.open(&at(&format!("/authorize?{}", encoded(&good(&[]))))).await;
    let back = scene.returns(&mut browser, &state_of(&page.text), "google").await;
    scene.stage.servers.stop_one(Server::Postgres);
    scene.stage.servers.start_one(Server::Postgres);
    // Connections that were open have broken, and it may still be starting.
    let mut answer = browser.open(&back).await;
    if answer.status != 303 {
        let state = tries_again(&answer, 503, SAYS);
        scene.stage.issuer.wait_for_missing(&[]).await;
        answer = scene.press(&mut browser, &state, "google").await;
    }
    let code = returned(&answer, "code");
    scene.stage.servers.stop_one(Server::Postgres);
    // The client is told to ask again, and its code is not used up by that.
    let redeemed = scene.redeem(&code, &[]).await;
    assert_eq!(redeemed.status, 503, "{}", redeemed.text);
    assert!(redeemed.header("retry-after").parse::<u64>().is_ok());
    // A page says so too, and can be opened once more where it is.
    let account = browser.open(&at("/account")).await;
    assert_eq!(account.status, 503);
    assert!(
        account.text.contains(SAYS) && account.text.contains("id=\"again\" href=\"/account\""),
        "{}",
        account.text
    );
    let asked = format!("/authorize?{}", encoded(&good(&[])));
    let page = browser.open(&at(&asked)).await;
    assert_eq!(page.status, 503);
    let again = page.text.split("id=\"again\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let again = again.replace("&amp;", "&").replace("&#38;", "&");
    assert_eq!(again, asked);
    scene.stage.servers.start_one(Server::Postgres);
    scene.stage.issuer.wait_for_missing(&[]).await;
    assert_eq!(scene.redeem(&code, &[]).await.status, 200);
    assert_eq!(browser.open(&at("/account")).await.status, 200);
    assert_eq!(returned(&browser.open(&at(&again)).await, "state"), "the state");
}
