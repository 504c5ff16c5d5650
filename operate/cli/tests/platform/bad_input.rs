//! Platform files and command lines that are wrong: exit code 2, and where the mistake is.

use crate::Test;
use crate::stage::{Ran, program};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

pub const TESTS: &[Test] = &[
    ("an_unknown_key_is_shown_with_its_place_and_the_nearest_name", unknown_key),
    ("every_mistake_of_a_file_is_shown_at_once", every_mistake),
    ("a_file_that_is_no_toml_is_an_invalid_platform_file", no_toml),
    ("a_platform_file_that_is_not_there_is_named", no_file),
    ("no_command_begins_on_what_lint_calls_an_error", lint_errors),
    ("an_unknown_command_is_a_usage_error", unknown_command),
    ("init_never_overwrites_a_file", init_overwrites_nothing),
    ("down_refuses_real_servers", down_refuses_real_servers),
];

/// A platform of real servers, which nothing here gets to connect to: it is wrong, or the command reads only.
const SERVERS: &str = r#"name = "shop"
domain = "shop.example"
os = "debian-14"
private_network = "10.0.0.0/24"

[hosts.edge]
roles = ["edge", "app"]
address = "10.0.0.10"
public_address = "198.51.100.10"

[hosts.data]
roles = ["db", "cache", "identity"]
address = "10.0.0.20"

[operator]
addresses = ["198.51.100.1"]
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS ops"]
"#;

struct File {
    directory: TempDir,
    path: PathBuf,
}

fn file(text: &str) -> File {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("platform.toml");
    fs::write(&path, text).unwrap();
    File { directory, path }
}

impl File {
    fn run(&self, arguments: &[&str]) -> Ran {
        program(&[&["--platform", self.path.to_str().unwrap()], arguments].concat())
    }
}

/// Every command that needs a valid platform file.
const COMMANDS: [&[&str]; 7] =
    [&["lint"], &["plan"], &["apply"], &["up"], &["verify"], &["status"], &["ssh", "edge", "--", "true"]];

fn unknown_key() {
    let file = file(&SERVERS.replace("public_address", "public_adress"));
    for command in COMMANDS {
        file.run(command).expect(2).says("platform.toml:9:1").says("public_address");
    }
}

fn every_mistake() {
    let text = SERVERS.replace("10.0.0.20", "10.0.0.10").replace("\"cache\"", "\"cash\"");
    let said = file(&text).run(&["plan"]).expect(2).stderr;
    for place in ["platform.toml:12:", "platform.toml:13:"] {
        assert!(said.contains(place), "{place} is missing:\n{said}");
    }
    assert!(said.contains("cache"), "the nearest name is missing:\n{said}");
}

fn no_toml() {
    file(&SERVERS.replace("[hosts.data]", "[hosts.data")).run(&["plan"]).expect(2).says("platform.toml:11:");
}

fn no_file() {
    let file = file("");
    fs::remove_file(&file.path).unwrap();
    file.run(&["plan"]).expect(2).says("platform.toml");
}

fn lint_errors() {
    let cdn = "\n[cdn]\nprovider = \"cloudflare\"\nssl_mode = \"flexible\"\n";
    let file = file(&format!("{SERVERS}{cdn}"));
    file.run(&["lint"]).expect(2);
    for command in ["plan", "apply", "up"] {
        file.run(&[command]).expect(2).says("nothing was touched");
    }
}

fn unknown_command() {
    program(&["aply"]).expect(2).says("apply");
}

fn init_overwrites_nothing() {
    let file = file("mine");
    let path = file.path.to_str().unwrap();
    program(&["init", "--lab", "other", "--output", path]).expect(1);
    assert_eq!(fs::read_to_string(&file.path).unwrap(), "mine");
    let others = fs::read_dir(file.directory.path()).unwrap().count();
    assert_eq!(others, 1, "a file was left beside it");
}

fn down_refuses_real_servers() {
    file(SERVERS).run(&["down"]).expect(1).says("real servers");
}
