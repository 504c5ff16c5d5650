//! The pages of accounts and what their forms do, by the real binary with a real database.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod account;
mod mail;
mod question;
mod recovery;
#[path = "../support/mod.rs"]
mod support;
mod ways;
#[allow(dead_code, reason = "what others ask of the world is not asked here")]
#[path = "../upstream/scene.rs"]
mod world;

use foundation::testing::program::Answer;
use support::browser::Browser;
use support::people;
use support::stage::{ISSUER, Stage};
use url::Url;
use uuid::Uuid;

const SESSION: &str = "__Host-session";

/// An issuer, and a browser in which Ada is signed in since so many minutes.
struct Scene {
    stage: Stage,
    browser: Browser,
    account: Uuid,
    session: Uuid,
}

impl Scene {
    async fn new(minutes: u32) -> Self {
        let stage = Stage::new(people::settings).await;
        let account = people::account(&stage.servers, "ada");
        let (session, cookie) = people::session(&stage.servers, account, minutes);
        let mut browser = visitor(&stage);
        browser.plant(ISSUER, SESSION, &cookie);
        Self { stage, browser, account, session }
    }

    async fn open(&mut self, path: &str) -> Answer {
        self.browser.open(&url(path)).await
    }

    /// Sends a form of the account's page, with its token.
    async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = people::token_of(&self.open("/account").await.text);
        let fields = [&[("csrf_token", token.as_str())], fields].concat();
        self.browser.post(&url(path), ISSUER, &fields).await
    }
}

fn url(path: &str) -> Url {
    Url::parse(ISSUER).unwrap().join(path).unwrap()
}

/// A browser in which nobody is signed in.
fn visitor(stage: &Stage) -> Browser {
    Browser::new(stage.issuer.ca().to_owned()).knows(ISSUER, stage.issuer.port)
}
