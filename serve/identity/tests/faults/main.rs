//! What fails while somebody signs in — a provider, the database, a key, a clock — by the real binary: the person gets a page
//! that says what to do, and the next try works.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod clocks;
mod database;
mod keys;
mod providers;
#[allow(dead_code, unused_imports, reason = "what attackers do is not done here")]
#[path = "../attacks/scene.rs"]
mod scene;
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "what others ask of the world is not asked here")]
#[path = "../upstream/scene.rs"]
mod world;

use foundation::testing::program::Answer;

/// A page that says this, with a button of each provider to try again: the state of those.
fn tries_again(page: &Answer, status: u16, says: &str) -> String {
    assert_eq!(page.status, status, "{}", page.text);
    assert!(page.text.contains(says), "{}", page.text);
    for name in world::NAMES {
        assert!(page.text.contains(&format!("id=\"sign-in-{name}\"")), "{}", page.text);
    }
    assert!(page.text.contains("id=\"request\""), "{}", page.text);
    support::people::state_of(&page.text)
}
