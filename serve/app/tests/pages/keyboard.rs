//! The pages without a mouse.

use foundation::testing::look::look;

use crate::stage::Stage;
use crate::work::signed_in;

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer, Valkey and Chromium installed"]
async fn everything_is_reached_and_seen_with_the_keyboard() {
    let stage = Stage::new().await;
    let browser = signed_in(&stage, "Ada Lovelace", "owner").await;
    browser.look(1440, "light").await;
    browser.open("/projects/new").await;
    // The first stop leads past the navigation.
    browser.keys(&TAB.to_string()).await;
    assert_eq!(browser.run("return document.activeElement.className").await, "skip");
    browser.keys(&ENTER.to_string()).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "main");
    browser.open("/projects/new").await;
    // Every stop is in sight and says where it is.
    let mut stops = Vec::new();
    loop {
        browser.keys(&TAB.to_string()).await;
        let stop = browser
            .run(
                "const e = document.activeElement; if (e === document.body) return null; \
                 const box = e.getBoundingClientRect(), style = getComputedStyle(e); \
                 return {tag: e.tagName, text: (e.innerText || e.name || '').trim(), seen: box.width > 0 && box.height > 0 \
                   && box.right > 0 && box.bottom > 0 && (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2)}",
            )
            .await;
        if stop.is_null() || stops.len() > 60 {
            break;
        }
        assert_eq!(stop["seen"], true, "{stop}");
        stops.push(stop["text"].as_str().unwrap().to_owned());
    }
    for expected in
        ["Home", "Projects", "Settings", "Sign out", "name", "description", "Make project", "Cancel"]
    {
        assert!(stops.iter().any(|stop| stop == expected), "{expected} is not among {stops:?}");
    }
    let place = |name: &str| stops.iter().position(|stop| stop == name).unwrap();
    assert!(place("Settings") < place("name") && place("name") < place("Make project"), "{stops:?}");
    // And makes a project without the mouse.
    browser.open("/projects/new").await;
    browser.run("document.querySelector('#name').focus()").await;
    browser.keys(&format!("Garden{TAB}Green{TAB}{ENTER}")).await;
    browser.wait_for("the project", async || browser.text("h1").await == "Garden").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer, Valkey and Chromium installed"]
async fn who_only_looks_is_shown_what_there_is_and_offered_nothing_else() {
    let stage = Stage::new().await;
    let browser = signed_in(&stage, "Bob", "viewer").await;
    for (path, name) in [
        ("/", "viewer-home"),
        ("/projects", "viewer-projects"),
        ("/tasks", "viewer-tasks"),
        ("/members", "viewer-members"),
        ("/settings", "viewer-settings"),
        ("/projects/new", "viewer-refused"),
        ("/status", "status"),
    ] {
        browser.open(path).await;
        look(&browser, name).await;
    }
}
