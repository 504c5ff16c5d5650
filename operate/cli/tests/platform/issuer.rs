//! The issuer on its host: a restart drops nothing, its operator's commands, and what goes when the platform file says so.

use crate::Test;
use crate::application::caller;
use crate::building::built;
use crate::stage::{PLATFORM, eventually};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

pub const TESTS: &[Test] = &[
    ("the_issuer_answers_at_its_own_name_and_nobody_else_reaches_its_database", answers),
    ("a_restart_of_the_issuer_drops_no_request", restarts),
    ("an_operator_lets_somebody_in_and_sees_sessions", operated),
    ("a_clients_secret_is_written_where_it_was_asked_for_and_shown_nowhere", secret_is_handed_over),
    ("a_rotated_sealing_key_opens_what_the_old_one_sealed", rotated),
    ("a_platform_without_login_providers_has_no_issuer_any_more", withdrawn),
];

fn url(path: &str) -> String {
    format!("https://id.{}.test{path}", PLATFORM.name)
}

/// The status of an answer at the issuer's name, through the CDN.
fn status(path: &str) -> u16 {
    let authority = format!("/var/lib/bastide/labs/{}/certificates/cdn-authority.pem", PLATFORM.name);
    caller::ask(&url(path), &authority, &[], &[]).status
}

fn answers() {
    built();
    assert_eq!(status("/readyz"), 200);
    let listening = PLATFORM.on("identity", "ss -Htln 'sport = :5432'");
    assert!(listening.lines().all(|line| line.contains("127.0.0.1:5432")), "{listening}");
    let schema = PLATFORM.on(
        "identity",
        "su postgres -c \"psql -XAtd identity -c 'SELECT max(version) FROM schema_migrations'\"",
    );
    assert!(schema.trim().parse::<u32>().unwrap() >= 3, "{schema}");
}

fn restarts() {
    built();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut statuses = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        statuses.push(status("/livez"));
                    }
                    statuses
                })
            })
            .collect();
        for _ in 0..3 {
            PLATFORM.on("identity", "systemctl restart identity && sleep 1");
        }
        stop.store(true, Ordering::Relaxed);
        let statuses: Vec<u16> = asking.into_iter().flat_map(|asked| asked.join().unwrap()).collect();
        assert!(statuses.len() > 20, "{}", statuses.len());
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    });
}

fn operated() {
    built();
    PLATFORM.on(
        "identity",
        "su postgres -c \"psql -Xqd identity -c \\\"INSERT INTO accounts (id, email, email_vouched, created_at, updated_at) \
         VALUES (gen_random_uuid(), 'ada@example.test', true, now(), now())\\\"\"",
    );
    let link = PLATFORM.run(&["identity", "recover", "ada@example.test"]).expect(0).stdout;
    assert!(link.trim().starts_with(&url("/recover/")), "{link}");
    let document = PLATFORM.run(&["identity", "recover", "ada@example.test", "--json"]).expect(0).json();
    assert!(document["link"].as_str().unwrap().starts_with(&url("/recover/")), "{document}");
    PLATFORM.run(&["identity", "recover", "nobody@example.test"]).expect(1);
    PLATFORM.run(&["identity", "sessions", "list"]).expect(0);
    PLATFORM.run(&["identity", "sessions", "list", "--json"]).expect(0).json();
    PLATFORM.run(&["identity", "sessions", "end", "00000000-0000-4000-8000-000000000000"]).expect(1);
    PLATFORM.run(&["identity", "keys", "rotate"]).expect(0).says("signs from");
}

/// The platform, with a client beside its own application.
fn with_wiki() -> std::path::PathBuf {
    let client = "[identity.clients.wiki]\nredirect_uris = ['https://wiki.example/callback']\n[lab]";
    PLATFORM.variant("wiki", &[("[lab]", client)])
}

fn secret_is_handed_over() {
    built();
    let file = with_wiki();
    PLATFORM.run_with(&file, &["apply"]).expect(0);
    let output = PLATFORM.directory.join("wiki.secret");
    let _ = fs::remove_file(&output);
    let path = output.to_str().unwrap();
    let ran = PLATFORM.run_with(&file, &["identity", "secret", "wiki", "--output", path]).expect(0);
    let secret = fs::read_to_string(&output).unwrap();
    assert_eq!(fs::metadata(&output).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(secret.trim()));
    PLATFORM
        .run_with(&file, &["identity", "secret", "wiki", "--output", path])
        .expect(1)
        .says("must not exist");
    PLATFORM
        .run_with(&file, &["identity", "secret", "app", "--output", path])
        .expect(1)
        .says("there are: wiki");
    let held = PLATFORM.on("identity", "cat /etc/bastide/identity/client-wiki.secret");
    assert_eq!(held, secret);
    // What no client needs any more does not stay.
    PLATFORM.run(&["apply"]).expect(0);
    PLATFORM.on(
        "identity",
        "! test -e /etc/bastide/identity/client-wiki.secret && ! grep -q wiki /etc/bastide/identity.toml",
    );
}

fn rotated() {
    built();
    let names = PLATFORM.run(&["secrets", "list", "--json"]).expect(0).json();
    assert!(names["secrets"].as_array().unwrap().contains(&json!("identity/sealing-key")), "{names}");
    let keys = || PLATFORM.on("identity", "cat /etc/bastide/identity/sealing-keys");
    let process = || PLATFORM.on("identity", "systemctl show --property MainPID --value identity");
    let (before, same) = (keys(), process());
    PLATFORM.run(&["secrets", "rotate", "identity/sealing-key"]).expect(0);
    PLATFORM.run(&["secrets", "rotate", "identity/nothing"]).expect(1).says("secrets list");
    PLATFORM.run(&["apply"]).expect(0);
    let after = keys();
    assert!(
        after.ends_with(&before) && after.lines().count() == before.lines().count() + 1,
        "the old one stays below"
    );
    assert_eq!(process(), same, "the issuer follows the file, and is not restarted");
    eventually("the issuer has read it", 30, || {
        let log = PLATFORM.on("identity", "journalctl --unit identity --since -1min");
        log.contains("sealed with the first key of the file").then_some(())
    });
    assert_eq!(status("/readyz"), 200);
}

fn withdrawn() {
    built();
    let providers =
        ["google", "github", "microsoft", "apple"].map(|name| format!("[identity.providers.{name}]\n"));
    let without: Vec<(&str, &str)> = providers.iter().map(|provider| (provider.as_str(), "")).collect();
    let file = PLATFORM.variant("withdrawn", &without);
    PLATFORM.run_with(&file, &["apply"]).expect(0);
    PLATFORM
        .on("identity", "! systemctl is-active --quiet identity && ! systemctl is-enabled --quiet identity");
    PLATFORM.on("identity", "! ufw status | grep -q 9000");
    PLATFORM.heal();
    eventually("the issuer is back", 30, || (status("/readyz") == 200).then_some(()));
}
