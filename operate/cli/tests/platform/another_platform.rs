//! Another platform: Debian 13, and no CDN in front, so that the edge itself speaks HTTP/3 to the internet.

use crate::Test;
use crate::stage::Stage;
use std::fs;
use std::sync::LazyLock;

pub const TESTS: &[Test] =
    &[("debian_13_without_a_cdn_comes_up_passes_every_check_and_stays", comes_up_and_stays)];

static PLATFORM: LazyLock<Stage> = LazyLock::new(|| {
    let stage = Stage::new("test2");
    let file = stage.variant(
        "changed",
        &[
            ("os = \"debian-14\"", "os = \"debian-13\""),
            ("provider = \"cloudflare\"", "provider = \"none\""),
            ("ssl_mode = \"full-strict\"", "# no CDN:"),
        ],
    );
    fs::rename(file, &stage.file).unwrap();
    stage
});

fn comes_up_and_stays() {
    let url = PLATFORM.run(&["up"]).expect(0).stdout;
    assert_eq!(url.trim(), "https://test2.test");
    assert_eq!(PLATFORM.run(&["apply", "--json"]).expect(0).json()["changed"], 0);

    let document = PLATFORM.run(&["verify", "--json"]).expect(0).json();
    let checks = document["checks"].as_array().unwrap();
    let http3: Vec<_> =
        checks.iter().filter(|check| check["id"].as_str().is_some_and(|id| id.contains("http-3"))).collect();
    assert!(!http3.is_empty(), "no check speaks HTTP/3");
    assert!(http3.iter().all(|check| check["status"] == "pass"), "{http3:#?}");

    let status = PLATFORM.run(&["status", "--json"]).expect(0).json();
    let components = status["components"].as_array().unwrap();
    let postgres = components.iter().find(|component| component["component"] == "postgres").unwrap();
    assert!(postgres["version"].as_str().unwrap().starts_with("17."), "{postgres:#}");
    assert!(status["hosts"].as_array().unwrap().iter().all(|host| host["os"] == "debian-13"), "{status:#}");
}
