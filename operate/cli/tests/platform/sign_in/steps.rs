//! The eleven steps, by what the browser sent and got, and by what the network and the login providers know.

use super::browser::{Browser, Request};
use super::{PROVIDERS, app, in_browser, is_signed_in, issuer, leaves, says_who, signs_in, site};
use crate::building::built;
use crate::stage::PLATFORM;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is asked in the address of a request.
type Asked = BTreeMap<String, String>;

/// Clicks through a sign-in by each login provider, and looks at every step.
pub fn by_each() {
    in_browser(|browser| {
        for (provider, has_token) in PROVIDERS {
            browser.forget();
            leaves(browser, provider);
            // Signing in there takes a name and a click; nothing was asked for on the way.
            says_who(browser, &format!("clicks-{provider}"));
            is_signed_in(browser);
            let requests = browser.requests();
            let mine = to_issuer(&requests, provider);
            let theirs = to_provider(&requests, provider, has_token);
            assert!(mine["state"] != theirs["state"] && mine["code_challenge"] != theirs["code_challenge"]);
            comes_back(&requests, provider, &theirs["state"]);
            let landed = is_sent_on(&requests, &mine["state"]);
            nowhere_else(&requests, provider);
            cookies_are_the_sites_alone(browser, &requests, provider);
            answers_are_for_one_use(browser, &requests, provider, &landed);
        }
    });
}

fn asked(url: &str) -> Asked {
    let query = url.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[track_caller]
fn the<'a>(requests: &'a [Request], method: &str, start: &str) -> &'a Request {
    let found = requests.iter().find(|request| request.method == method && request.url.starts_with(start));
    found.unwrap_or_else(|| {
        let all: Vec<_> =
            requests.iter().map(|request| format!("{} {}", request.method, request.url)).collect();
        panic!("no {method} {start} among {all:#?}")
    })
}

/// Steps 1 and 2.
#[track_caller]
fn to_issuer(requests: &[Request], provider: &str) -> Asked {
    the(requests, "GET", &app("/sign-in"));
    let asked = asked(&the(requests, "GET", &issuer("/authorize?")).url);
    protected(&asked, true, provider);
    assert_eq!(asked["client_id"], "app");
    asked
}

/// Step 3.
#[track_caller]
fn to_provider(requests: &[Request], provider: &str, has_token: bool) -> Asked {
    the(requests, "POST", &issuer("/attempts/"));
    let asked = asked(&the(requests, "GET", &site(provider)).url);
    protected(&asked, has_token, provider);
    asked
}

/// State, nonce and PKCE are there.
#[track_caller]
fn protected(asked: &Asked, nonce: bool, provider: &str) {
    let long = |name: &str, least: usize| asked.get(name).is_some_and(|value| value.len() >= least);
    assert_eq!(asked["response_type"], "code", "{provider}: {asked:?}");
    assert!(long("state", 22) && long("code_challenge", 43), "{provider}: {asked:?}");
    assert_eq!(asked["code_challenge_method"], "S256", "{provider}: {asked:?}");
    assert!(!nonce || long("nonce", 22), "{provider}: {asked:?}");
    assert!(!asked.contains_key("client_secret"), "{provider}: {asked:?}");
}

/// Steps 4 and 5.
#[track_caller]
fn comes_back(requests: &[Request], provider: &str, state: &str) {
    the(requests, "POST", &site(provider));
    let callback = issuer(&format!("/callback/{provider}"));
    if provider != "apple" {
        let asked = asked(&the(requests, "GET", &callback).url);
        assert!(asked["state"] == *state && !asked["code"].is_empty(), "{provider}: {asked:?}");
        return;
    }
    // Posted from another site: nothing that says which browser it is comes along, until the issuer leads on to itself.
    let posted = the(requests, "POST", &callback);
    let cookie = |request: &Request| request.sent.iter().any(|(name, _)| name == "cookie");
    assert!(!posted.sent.is_empty() && !cookie(posted), "{posted:?}");
    let led_on = the(requests, "GET", &format!("{callback}/continue?"));
    assert!(cookie(led_on), "{led_on:?}");
}

/// Step 8, of which the application's callback is where it leads.
#[track_caller]
fn is_sent_on(requests: &[Request], state: &str) -> String {
    let landed = &the(requests, "GET", &app("/sign-in/callback?")).url;
    let asked = asked(landed);
    assert!(asked["state"] == *state && !asked["code"].is_empty(), "{asked:?}");
    landed.clone()
}

/// Three sites are all that is needed.
#[track_caller]
fn nowhere_else(requests: &[Request], provider: &str) {
    let known = [app("/"), issuer("/"), site(provider)];
    let stray: Vec<_> = requests
        .iter()
        .filter(|request| {
            request.url.starts_with("http") && !known.iter().any(|site| request.url.starts_with(site))
        })
        .map(|request| &request.url)
        .collect();
    assert!(stray.is_empty(), "{provider}: {stray:?}");
}

/// Step 11, and every cookie on the way.
#[track_caller]
fn cookies_are_the_sites_alone(browser: &Browser, requests: &[Request], provider: &str) {
    let own = |request: &&Request| [app("/"), issuer("/")].iter().any(|site| request.url.starts_with(site));
    let set: Vec<&str> =
        requests.iter().filter(own).flat_map(|request| request.received("set-cookie")).collect();
    for name in ["__Host-sign-in", "__Host-attempt-", "__Host-session"] {
        assert!(set.iter().any(|cookie| cookie.starts_with(name)), "{provider}: no {name} in {set:#?}");
    }
    for cookie in set {
        let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
        for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
            assert!(attributes.contains(&attribute), "{provider}: {attribute} is not in {cookie}");
        }
        assert!(cookie.starts_with("__Host-"), "{provider}: {cookie}");
    }
    // And as the browser understood it.
    let kept = browser.cookies();
    let session = kept.iter().find(|cookie| cookie["name"] == "__Host-session").unwrap();
    let flags = ["secure", "httpOnly", "sameSite", "path", "domain"].map(|name| session[name].clone());
    let domain = format!("{}.test", PLATFORM.name);
    assert_eq!(flags, [json!(true), json!(true), json!("Lax"), json!("/"), json!(domain)], "{session}");
}

/// What the browser brought once is brought once more, and worth nothing.
#[track_caller]
fn answers_are_for_one_use(browser: &Browser, requests: &[Request], provider: &str, landed: &str) {
    let start = issuer(&format!("/callback/{provider}"));
    let brought = the(requests, "GET", &start).url.clone();
    browser.open(&brought);
    assert_eq!(browser.text("h1"), "That took too long", "{provider}: {}", browser.source());
    browser.open(landed);
    assert_eq!(browser.text("h1"), "This sign-in is over", "{provider}: {}", browser.source());
}

/// Steps 6, 7 and 9, of which no browser sees anything.
pub fn nothing_of_the_application() {
    built();
    in_browser(|browser| signs_in(browser, "google", "clicks-google"));
    let provider = address_of("providers");
    let table = PLATFORM.on("edge", "cat /proc/net/nf_conntrack");
    let connections = |from: &str, to: &str| {
        let pair = format!("src={from} dst={to} ");
        table.lines().filter(|line| line.contains(&pair)).count()
    };
    assert!(connections("10.0.0.50", &provider) > 0, "the issuer asks the login providers:\n{table}");
    assert!(connections("10.0.0.20", &address_of("cdn")) > 0, "the application asks the issuer:\n{table}");
    assert_eq!(connections("10.0.0.20", &provider), 0, "{table}");
    // Browsers come to sign in, and whoever comes as a client comes from the platform's way out.
    let edge = address_of("edge");
    for (provider, _) in PROVIDERS {
        let log = control("GET", &format!("/providers/{provider}/log"), "");
        let asked = log.as_array().unwrap();
        let from = |ends: &[&str]| -> Vec<&Value> {
            let path = |asked: &&Value| ends.iter().any(|end| asked["path"].as_str().unwrap().ends_with(end));
            asked.iter().filter(path).map(|asked| &asked["peer"]).collect()
        };
        let people = from(&["/authorize", "/auth"]);
        assert!(!people.is_empty() && people.iter().all(|peer| **peer != edge.as_str()), "{log:#}");
        let clients = from(&["/token", "/access_token", "/user", "/user/emails", "/userinfo"]);
        assert!(!clients.is_empty() && clients.iter().all(|peer| **peer == edge.as_str()), "{log:#}");
    }
}

fn address_of(machine: &str) -> String {
    let labs = PLATFORM.run(&["lab", "status", "--json"]).expect(0).json();
    let labs = labs["labs"].as_array().unwrap().clone();
    let lab = labs.iter().find(|lab| lab["name"] == PLATFORM.name.as_str()).unwrap();
    let machine = lab["machines"].as_array().unwrap().iter().find(|found| found["name"] == machine).unwrap();
    machine["addresses"][0].as_str().unwrap().to_owned()
}

/// What the login providers' control answers, in their network.
#[track_caller]
pub fn control(method: &str, path: &str, body: &str) -> Value {
    let namespace = format!("bastide-{}-providers", PLATFORM.name);
    let url = format!("http://127.0.0.1:8000{path}");
    let output = std::process::Command::new("ip")
        .args([
            "netns",
            "exec",
            &namespace,
            "curl",
            "--silent",
            "--fail",
            "--max-time",
            "10",
            "--noproxy",
            "*",
        ])
        .args(["--request", method, "--header", "content-type: application/json", "--data", body, &url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{method} {path}: {output:?}");
    // Whoever changes something is answered with nothing.
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// What the operator tells of a person is what the next sign-in brings; and nobody else can tell it.
pub fn changed() {
    built();
    let change = ["lab", "person", "google", "clicks-new", "email=first@gmail.com", "given_name=Augusta"];
    PLATFORM.run(&change).expect(0).says("first@gmail.com");
    in_browser(|browser| {
        signs_in(browser, "google", "clicks-new");
        assert!(browser.text("a.person").contains("Augusta"), "{}", browser.source());
        PLATFORM.run(&["lab", "person", "google", "clicks-new", "refuses=true"]).expect(0);
        browser.forget();
        leaves(browser, "google");
        says_who(browser, "clicks-new");
        browser.wait_until_at(&issuer("/"));
        assert!(browser.text("#failure").contains("not"), "{}", browser.source());
        // The way to try again is on the page.
        PLATFORM.run(&["lab", "person", "google", "clicks-new", "refuses=false"]).expect(0);
        super::chooses(browser, "google");
        says_who(browser, "clicks-new");
        is_signed_in(browser);
    });
    PLATFORM.run(&["lab", "person", "google", "clicks-new", "shoes=brown"]).expect(1);
    for host in ["identity", "edge"] {
        let script = format!("timeout 2 bash -c '</dev/tcp/{}/8000'", address_of("providers"));
        assert_ne!(PLATFORM.try_on(host, &script).code, Some(0), "the control is open to {host}");
    }
}
