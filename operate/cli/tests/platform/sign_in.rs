//! A person signs in to the application by each login provider, in a real Chromium at the lab's names; and again after something
//! failed on the way.

mod browser;
mod faults;
mod steps;

use crate::Test;
use crate::building::built;
use crate::stage::{PLATFORM, eventually};
use browser::Browser;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub const TESTS: &[Test] = &[
    ("a_person_clicks_through_the_eleven_steps_by_each_login_provider", steps::by_each),
    ("the_application_never_asks_a_login_provider_anything", steps::nothing_of_the_application),
    ("the_operator_changes_what_a_login_provider_says_of_a_person", steps::changed),
    ("a_login_provider_that_is_down_says_so_on_its_button_and_the_others_work", faults::provider_down),
    ("a_database_that_restarts_in_the_middle_of_a_sign_in_loses_nobody", faults::database_restarts),
    ("signing_keys_that_rotate_in_the_middle_of_a_sign_in_fail_nobody", faults::keys_rotate),
    ("a_login_providers_clock_that_is_a_minute_ahead_fails_nobody", faults::clock_ahead),
];

/// The login providers in the order of the buttons, each with whether it answers by an ID token.
const PROVIDERS: [(&str, bool); 4] =
    [("google", true), ("github", false), ("microsoft", true), ("apple", true)];

/// One browser for all these tests, which run one after the other.
static BROWSER: Mutex<Option<Browser>> = Mutex::new(None);

/// Does something in a browser that has been nowhere, once the platform is built.
fn in_browser(act: impl FnOnce(&Browser)) {
    built();
    let mut shared: MutexGuard<'_, Option<Browser>> = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
    let browser = shared.get_or_insert_with(Browser::start);
    browser.forget();
    act(browser);
}

/// Ends the browser, before its lab goes.
pub fn close_browser() {
    drop(BROWSER.lock().unwrap_or_else(PoisonError::into_inner).take());
}

fn app(path: &str) -> String {
    format!("https://{}.test{path}", PLATFORM.name)
}

fn issuer(path: &str) -> String {
    format!("https://id.{}.test{path}", PLATFORM.name)
}

fn site(provider: &str) -> String {
    format!("https://{provider}.{}-login.test/", PLATFORM.name)
}

/// The person chooses a login provider and is asked there who it is.
fn leaves(browser: &Browser, provider: &str) {
    browser.open(&app("/"));
    browser.click("a[href='/sign-in']");
    browser.wait_until_at(&issuer("/"));
    chooses(browser, provider);
}

/// The person is on the issuer's page with the buttons, and takes one of them.
fn chooses(browser: &Browser, provider: &str) {
    browser.click(&format!("#sign-in-{provider}"));
    browser.wait_until_at(&site(provider));
}

/// The person says who it is, at the login provider, and comes back.
fn says_who(browser: &Browser, person: &str) {
    browser.fill("#username", person);
    browser.click("#submit");
}

/// The person has come back and is signed in to the application; a question whether there is an account already is answered.
#[track_caller]
fn is_signed_in(browser: &Browser) {
    eventually("the person is signed in to the application", 30, || {
        if browser.shows("#go-on-as-new") {
            browser.click("#go-on-as-new");
        }
        let there = browser.url().starts_with(&app("/")) && browser.shows("form.sign-out");
        if !there && browser.shows("#failure") {
            panic!("{}", browser.text("#failure"));
        }
        there.then_some(())
    });
}

/// A whole sign-in.
#[track_caller]
fn signs_in(browser: &Browser, provider: &str, person: &str) {
    leaves(browser, provider);
    says_who(browser, person);
    is_signed_in(browser);
}
