//! What fails in the middle of a sign-in: the person reads what to do, and the next try works.

use super::browser::Browser;
use super::steps::control;
use super::{app, chooses, in_browser, is_signed_in, issuer, leaves, says_who, signs_in};
use crate::application::caller;
use crate::building::built;
use crate::stage::{PLATFORM, eventually};
use std::collections::BTreeSet;
use std::time::Duration;

/// Puts something right again at the end of a test, whatever came of it.
struct Afterwards<F: Fn()>(F);

impl<F: Fn()> Drop for Afterwards<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn provider(name: &str, state: &str) {
    PLATFORM.run(&["lab", "provider", name, state]).expect(0);
}

fn fault(name: &str, fault: &str) {
    control("PUT", &format!("/providers/{name}/fault"), fault);
}

/// How far the login providers' clock is ahead of the platform's.
fn ahead(seconds: u32) {
    control("PUT", "/clock", &format!("{{\"ahead_seconds\": {seconds}}}"));
}

/// The page with the buttons, without an application that counts how often it is asked.
fn look(browser: &Browser) {
    browser.open(&issuer("/sign-in"));
}

/// The page with the buttons, anew.
fn buttons(browser: &Browser) {
    browser.open(&app("/sign-in"));
    browser.wait_until_at(&issuer("/"));
}

pub fn provider_down() {
    built();
    let _up = Afterwards(|| provider("github", "up"));
    let _sense = Afterwards(|| fault("google", "null"));
    in_browser(|browser| {
        // What it answers makes no sense while the issuer redeems the code.
        leaves(browser, "google");
        fault("google", "{\"kind\": \"nonsense\"}");
        says_who(browser, "faults");
        browser.wait_until_at(&issuer("/"));
        assert!(browser.text("#failure").contains("Try again in a moment"), "{}", browser.source());
        fault("google", "null");
        chooses(browser, "google");
        says_who(browser, "faults");
        is_signed_in(browser);

        browser.forget();
        provider("github", "down");
        eventually("GitHub's button says that it is down", 150, || {
            look(browser);
            browser.shows("#down-github").then_some(())
        });
        assert!(browser.text("#down-github").contains("GitHub"), "{}", browser.source());
        assert!(!browser.shows("#down-google"), "{}", browser.source());
        signs_in(browser, "google", "faults");

        browser.forget();
        provider("github", "up");
        eventually("GitHub's button says nothing any more", 60, || {
            look(browser);
            (!browser.shows("#down-github")).then_some(())
        });
        signs_in(browser, "github", "faults");
    });
}

pub fn database_restarts() {
    built();
    let _running = Afterwards(|| drop(PLATFORM.on("identity", "systemctl start postgresql")));
    in_browser(|browser| {
        leaves(browser, "google");
        PLATFORM.on("identity", "systemctl stop 'postgresql@*'");
        says_who(browser, "faults");
        browser.wait_until_at(&issuer("/"));
        let page = browser.text("main");
        assert!(page.contains("It is not your fault") && page.contains("try again here"), "{page}");
        PLATFORM.on("identity", "systemctl start postgresql 'postgresql@*'");
        eventually("the person signs in after the database is back", 30, || {
            buttons(browser);
            browser.shows("#sign-in-google").then_some(())
        });
        chooses(browser, "google");
        says_who(browser, "faults");
        is_signed_in(browser);

        // Restarted while nobody waits for it, it is not noticed.
        browser.forget();
        leaves(browser, "google");
        PLATFORM.on("identity", "systemctl restart 'postgresql@*'");
        says_who(browser, "faults");
        is_signed_in(browser);
    });
}

/// Names of the keys that the issuer publishes.
fn keys() -> BTreeSet<String> {
    let authority = format!("/var/lib/bastide/labs/{}/certificates/cdn-authority.pem", PLATFORM.name);
    let keys = caller::ask(&issuer("/keys"), &authority, &[], &[]).expect(200).json();
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

pub fn keys_rotate() {
    built();
    in_browser(|browser| {
        // The application knows the keys of before.
        signs_in(browser, "google", "faults");
        browser.forget();
        leaves(browser, "google");
        let before = keys();
        PLATFORM.run(&["identity", "keys", "rotate", "--now"]).expect(0);
        eventually("the keys that the application knows are gone", 30, || {
            keys().is_disjoint(&before).then_some(())
        });
        says_who(browser, "faults");
        // An application that has asked for new keys a moment ago asks again when a minute is over, and the person can try again.
        eventually("the person is signed in with a token by a new key", 90, || {
            browser.wait_until_at(&app("/"));
            if browser.shows("form.sign-out") {
                return Some(());
            }
            assert!(browser.text("main").contains("Sign in again"), "{}", browser.source());
            std::thread::sleep(Duration::from_secs(5));
            browser.click("main a[href='/sign-in']");
            None
        });
    });
}

pub fn clock_ahead() {
    built();
    let _right = Afterwards(|| ahead(0));
    in_browser(|browser| {
        for name in ["google", "microsoft", "apple"] {
            browser.forget();
            leaves(browser, name);
            ahead(58);
            says_who(browser, "faults");
            is_signed_in(browser);
        }
        // Further ahead, it says what nobody can believe, and the person can try again.
        browser.forget();
        leaves(browser, "google");
        ahead(300);
        says_who(browser, "faults");
        browser.wait_until_at(&issuer("/"));
        assert!(browser.text("#failure").contains("again"), "{}", browser.source());
        ahead(0);
        chooses(browser, "google");
        says_who(browser, "faults");
        is_signed_in(browser);
    });
}
