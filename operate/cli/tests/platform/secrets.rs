//! Secrets appear in no output of the program and in no file that everybody can read.

use crate::Test;
use crate::building::built;
use crate::stage::{PLATFORM, Ran};
use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, PoisonError};

pub const TESTS: &[Test] = &[
    ("a_plan_shows_that_a_secret_differs_and_not_the_secret", plan_redacts),
    ("no_run_of_all_these_tests_printed_a_secret", nothing_was_printed),
    ("no_file_that_everybody_can_read_holds_a_secret", no_readable_file),
    ("no_argument_or_environment_of_a_process_holds_a_secret", no_process),
];

/// Everything that the program printed in these tests.
static PRINTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what a run printed for [`nothing_was_printed`]. Output of a shell on a host is the test's own.
pub fn remember(ran: &Ran) {
    if !ran.command.contains("lab exec") {
        let text = format!("{}{}", ran.stdout, ran.stderr);
        PRINTED.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

/// Where the hosts keep secrets, and how to print them one a line.
const KEPT: [(&str, &str); 7] = [
    ("app", "cat /etc/bastide/app/*.password /etc/bastide/app-migrate/*.password"),
    ("app", "sed -n 2p /etc/bastide/app/tls.key"),
    ("db", "sed -n 's/.* \"\\(.*\\)\"/\\1/p' /etc/pgbouncer/userlist.txt"),
    ("db", "su postgres -c \"psql -Atc 'SELECT rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL'\""),
    (
        "identity",
        "cd /etc/bastide/identity && cat *.password *.secret secret-key && cut -d: -f2 sealing-keys",
    ),
    ("identity", "sed -n 2p /etc/bastide/identity/tls.key"),
    (
        "cache",
        "grep -oh '#[0-9a-f]*' /etc/bastide/valkey/*.acl | tr -d '#'; sed -n 2p /etc/bastide/tls/*.key",
    ),
];

/// The platform's secrets, as the hosts hold them.
fn secrets() -> BTreeSet<String> {
    let mut secrets = BTreeSet::new();
    for (host, script) in KEPT {
        let found = PLATFORM.on(host, script);
        let before = secrets.len();
        secrets.extend(found.lines().map(|line| line.trim().to_owned()).filter(|line| line.len() >= 16));
        assert!(secrets.len() > before, "no secret on {host} where one is expected: {script}");
    }
    secrets
}

/// Files with secrets that differ, so that their plan could show either side.
const CHANGED: [(&str, &str); 4] = [
    ("identity", "/etc/bastide/identity/client-app.secret"),
    ("app", "/etc/bastide/app/database.password"),
    ("db", "/etc/pgbouncer/userlist.txt"),
    ("cache", "/etc/bastide/valkey/durable.acl"),
];

fn plan_redacts() {
    built();
    let secrets = secrets();
    for (host, path) in CHANGED {
        PLATFORM.on(host, &format!("echo another-secret-by-hand >> {path}"));
    }
    for arguments in [&["plan", "--exit-code"][..], &["plan", "--exit-code", "--json"]] {
        let mut ran = PLATFORM.run(arguments).expect(3);
        for (_, path) in CHANGED {
            ran = ran.says(path);
        }
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!text.contains("another-secret-by-hand"), "the present content of a secret file:\n{text}");
        assert!(!secrets.iter().any(|secret| text.contains(secret.as_str())), "a secret:\n{text}");
    }
    PLATFORM.heal();
}

fn nothing_was_printed() {
    built();
    let printed = PRINTED.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(!printed.is_empty());
    for secret in secrets() {
        let found = printed.iter().find(|text| text.contains(&secret));
        assert!(found.is_none(), "a secret was printed:\n{}", found.map_or("", String::as_str));
    }
}

fn no_readable_file() {
    built();
    for host in ["edge", "app", "db", "cache", "identity"] {
        let found = PLATFORM.on(
            host,
            &format!(
                "cat > /root/secrets-of-the-test <<'END'\n{}\nEND\n\
                 chmod 600 /root/secrets-of-the-test\n\
                 find /etc /var/lib/bastide /var/log /run /tmp /home -xdev -type f -perm -o=r -print0 2>/dev/null | \
                 xargs -0r grep -lF -f /root/secrets-of-the-test 2>/dev/null\n\
                 rm /root/secrets-of-the-test",
                Vec::from_iter(secrets()).join("\n")
            ),
        );
        assert_eq!(found.trim(), "", "files on {host} that hold a secret and everybody can read");
    }
    for entry in fs::read_dir(PLATFORM.operator_directory().join("secrets")).unwrap().flatten() {
        let mode = std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "others can open {}", entry.path().display());
    }
}

fn no_process() {
    built();
    let secrets = secrets();
    for host in ["edge", "app", "db", "cache", "identity"] {
        let processes =
            PLATFORM.on(host, "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'");
        let found =
            processes.lines().find(|line| secrets.iter().any(|secret| line.contains(secret.as_str())));
        assert_eq!(found, None, "on {host}");
    }
}
