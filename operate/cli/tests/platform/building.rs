//! The main job: five hosts from one command, every claim checked, and nothing to do the second time.

use crate::Test;
use crate::stage::{PLATFORM, Ran};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;

pub const TESTS: &[Test] = &[
    ("up_builds_the_platform_verifies_each_step_and_prints_the_url", up_prints_the_url),
    ("the_application_answers_over_tls_through_the_cdn", answers_through_the_cdn),
    ("a_second_up_changes_nothing", second_up_changes_nothing),
    ("apply_reports_nothing_to_change_in_the_documented_shape", apply_reports),
    ("plan_finds_no_difference", plan_finds_nothing),
    ("verify_passes_every_check_in_the_documented_shape", verify_passes),
    ("the_report_is_one_page_that_needs_nothing_else", report_is_self_contained),
    ("status_says_where_the_platform_answers_and_what_runs", status_says),
];

/// The run that built the platform. Every test that needs the platform comes after it.
static BUILT: LazyLock<Ran> = LazyLock::new(|| PLATFORM.run(&["up"]));

/// Builds the platform where no test has yet.
pub fn built() {
    assert_eq!(BUILT.code, Some(0), "`bastide up` failed:\n{}{}", BUILT.stdout, BUILT.stderr);
}

fn domain() -> String {
    format!("{}.test", PLATFORM.name)
}

fn up_prints_the_url() {
    built();
    assert_eq!(BUILT.stdout.trim(), format!("https://{}", domain()), "the URL, alone on standard output");
    for step in 1..=5 {
        assert!(BUILT.stderr.contains(&format!("Step {step} of 5")), "no step {step}:\n{}", BUILT.stderr);
    }
    let verified = BUILT.stderr.lines().filter(|line| line.contains(" checks in ")).count();
    assert_eq!(verified, 5, "each step is verified before the next:\n{}", BUILT.stderr);
}

fn curl(arguments: &[&str]) -> Ran {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "10", "--noproxy", "*"])
        .args(arguments)
        .output()
        .unwrap();
    Ran::of("curl", &output)
}

fn answers_through_the_cdn() {
    built();
    let hint = BUILT.stderr.lines().find_map(|line| line.split("--cacert ").nth(1)).unwrap_or_default();
    let (authority, url) = hint.split_once(' ').expect("up says how to try it with curl");
    let page = curl(&["--fail", "--cacert", authority, url]).expect(0).stdout;
    assert!(page.contains("<html") || page.contains("<!doctype html"), "the application's page: {page}");
    let ready = curl(&["--fail", "--cacert", authority, &format!("{url}/readyz")]);
    ready.expect(0);
    // A TLS connection that nobody vouches for must fail: what passes above is verified.
    curl(&["--fail", url]).expect(60);
    let redirect = ["--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}"];
    let plain = curl(&[&redirect[..], &[&format!("http://{}/", domain())]].concat()).expect(0).stdout;
    assert_eq!(plain, format!("308 https://{}/", domain()));
}

fn second_up_changes_nothing() {
    built();
    let document = PLATFORM.run(&["up", "--json"]).expect(0).json();
    assert_eq!((&document["changed"], &document["failed"]), (&0.into(), &0.into()), "{document:#}");
    assert_eq!(document["url"], format!("https://{}", domain()));
}

/// Fails unless `value` is an object with exactly these keys.
#[track_caller]
fn assert_keys(value: &Value, keys: &[&str]) {
    let found: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found, keys.iter().copied().collect(), "{value:#}");
}

/// The hosts by name, as a document lists them.
fn hosts(document: &Value) -> Vec<&str> {
    let hosts = document["hosts"].as_array().unwrap();
    let mut names: Vec<&str> = hosts.iter().map(|host| host["host"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

const HOSTS: [&str; 5] = ["app", "cache", "db", "edge", "identity"];

fn apply_reports() {
    built();
    let document = PLATFORM.run(&["apply", "--json"]).expect(0).json();
    assert_keys(&document, &["hosts", "resources", "changed", "failed", "seconds"]);
    assert_eq!(hosts(&document), HOSTS);
    for host in document["hosts"].as_array().unwrap() {
        for key in ["host", "resources", "changed", "failed", "seconds"] {
            assert!(!host[key].is_null(), "{key} of {host:#}");
        }
        assert!(host["resources"].as_u64().unwrap() > 10, "{host:#}");
        assert_eq!((&host["changed"], &host["failed"]), (&0.into(), &0.into()));
    }
    let total: u64 =
        document["hosts"].as_array().unwrap().iter().map(|host| host["resources"].as_u64().unwrap()).sum();
    assert_eq!(document["resources"], total);
    assert_eq!((&document["changed"], &document["failed"]), (&0.into(), &0.into()));
}

fn plan_finds_nothing() {
    built();
    PLATFORM.run(&["plan", "--exit-code"]).expect(0).says("the hosts are as the platform file says");
}

fn verify_passes() {
    built();
    let document = PLATFORM.run(&["verify", "--json"]).expect(0).json();
    assert_keys(&document, &["checks", "passed", "failed", "skipped"]);
    let checks = document["checks"].as_array().unwrap();
    for check in checks {
        assert_keys(check, &["id", "host", "component", "status", "claim", "evidence", "seconds"]);
        assert_eq!(check["status"], "pass", "in the lab every place can be probed: {check:#}");
        let (component, claim) = check["id"].as_str().unwrap().split_once('/').unwrap();
        assert_eq!(check["component"], component);
        assert!(claim.chars().all(|c| c.is_ascii_alphanumeric() || "-_/".contains(c)), "{claim}");
        assert!(!check["evidence"].as_str().unwrap().is_empty(), "{check:#}");
    }
    assert_eq!(document["passed"], checks.len());
    assert_eq!((&document["failed"], &document["skipped"]), (&0.into(), &0.into()));
    let components: BTreeSet<&str> =
        checks.iter().map(|check| check["component"].as_str().unwrap()).collect();
    let mut listed = PLATFORM.run(&["verify", "--list"]).expect(0);
    for check in checks {
        listed = listed.says(check["id"].as_str().unwrap());
    }
    for component in
        ["reachability", "sshd", "firewall", "postgres", "pgbouncer", "valkey", "caddy", "app", "identity"]
    {
        assert!(components.contains(component), "no check of {component}: {components:?}");
    }
}

fn report_is_self_contained() {
    built();
    let path = PLATFORM.directory.join("report.html");
    PLATFORM.run(&["verify", "--html", path.to_str().unwrap()]).expect(0);
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page.contains("<svg"), "the topology is a picture");
    for host in HOSTS {
        assert!(page.contains(host), "{host}");
    }
    for reference in ["src=", "href=\"http", "href='http", "@import", "url(http", "<link", "<iframe"] {
        assert!(!page.contains(reference), "the page refers to something outside by {reference}");
    }
}

fn status_says() {
    built();
    let document = PLATFORM.run(&["status", "--json"]).expect(0).json();
    assert_keys(&document, &["url", "issuer", "hosts", "components", "release"]);
    assert_eq!(document["url"], format!("https://{}", domain()));
    assert_eq!(document["issuer"], format!("https://id.{}", domain()));
    assert_eq!(hosts(&document), HOSTS);
    for host in document["hosts"].as_array().unwrap() {
        assert_eq!(host["reachable"], true, "{host:#}");
    }
    let components = document["components"].as_array().unwrap();
    for (host, component) in
        [("edge", "caddy"), ("db", "postgres"), ("db", "pgbouncer"), ("cache", "valkey"), ("app", "docker")]
    {
        let found = components.iter().find(|c| c["host"] == host && c["component"] == component);
        let version = found.and_then(|c| c["version"].as_str());
        assert!(version.is_some_and(|version| !version.is_empty()), "{component} on {host}: {found:?}");
    }
    assert!(matches!(document["release"]["slot"].as_str(), Some("blue" | "green")), "{document:#}");
    assert!(document["release"]["image"].as_str().unwrap().starts_with("bastide/app"), "{document:#}");
}
