//! Hosts in a bad way: each run ends with a clear message and exit code, leaves nothing half-done, and the next run
//! completes.

use crate::Test;
use crate::building::built;
use crate::stage::PLATFORM;
use std::process::Command;

pub const TESTS: &[Test] = &[
    ("an_unreachable_host_is_named_and_the_others_finish", unreachable),
    ("a_host_that_does_not_accept_the_key_is_named", wrong_key),
    ("a_host_with_another_host_key_is_refused", changed_host_key),
    ("a_user_who_may_not_use_sudo_is_told_so_and_one_who_may_is_enough", sudo_refused),
    ("a_full_disk_leaves_no_half_written_file", disk_full),
    ("a_held_package_lock_is_named", package_lock_held),
    ("a_package_that_no_source_has_is_named", package_missing),
    ("a_host_of_another_system_is_refused_before_anything_changes", wrong_system),
    ("a_port_that_somebody_else_took_is_reported", port_taken),
];

/// Ends the shared connections, so that the next run has to connect anew.
pub fn hang_up() {
    let config = PLATFORM.operator_directory().join("ssh/ssh_config");
    for host in ["app", "db", "cache", "identity", "edge"] {
        // A host without a connection has none to end.
        let _ended = Command::new("ssh").arg("-F").arg(&config).args(["-O", "exit", host]).output().unwrap();
    }
}

/// Makes the file `host` has of its own differ.
fn touch_by_hand(host: &str) {
    PLATFORM.on(host, "echo '# by hand' >> /etc/sudoers.d/10-bastide");
}

fn is_touched(host: &str) -> bool {
    PLATFORM.on(host, "cat /etc/sudoers.d/10-bastide").contains("# by hand")
}

fn unreachable() {
    built();
    touch_by_hand("cache");
    touch_by_hand("db");
    PLATFORM.run(&["lab", "kill", "cache"]).expect(0);
    hang_up();
    let planned = PLATFORM.run(&["plan"]);
    let applied = PLATFORM.run(&["apply", "--json"]);
    PLATFORM.run(&["lab", "start", "cache"]).expect(0);
    planned.expect(1).says("connect to cache").says("is it running");
    assert_eq!(applied.expect(1).json()["failed"], 1, "the other hosts finish");
    assert!(!is_touched("db"), "a host that was reached was not healed");
    PLATFORM.heal();
    assert!(!is_touched("cache"));
}

fn wrong_key() {
    built();
    PLATFORM.on("db", "mv /root/.ssh/authorized_keys /root/.ssh/kept");
    hang_up();
    let ran = PLATFORM.run(&["apply"]);
    PLATFORM.on("db", "mv /root/.ssh/kept /root/.ssh/authorized_keys");
    ran.expect(1).says("connect to db: it does not accept this key");
    PLATFORM.heal();
}

fn changed_host_key() {
    built();
    for host in ["db", "edge"] {
        PLATFORM.on(
            host,
            "cd /etc/ssh && mv ssh_host_ed25519_key kept && mv ssh_host_ed25519_key.pub kept.pub && \
             ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key && systemctl reload ssh",
        );
        hang_up();
        let ran = PLATFORM.run(&["apply"]);
        PLATFORM.on(
            host,
            "cd /etc/ssh && mv kept ssh_host_ed25519_key && mv kept.pub ssh_host_ed25519_key.pub && \
             systemctl reload ssh",
        );
        ran.expect(1).says(&format!("connect to {host}: its host key is not the pinned one"));
    }
    PLATFORM.heal();
}

fn sudo_refused() {
    built();
    let address = "address = \"10.0.0.30\"";
    let user = format!("{address}\nssh = {{ user = \"operator-of-the-test\" }}");
    let file = PLATFORM.variant("another-user", &[(address, &user)]);
    PLATFORM.on(
        "db",
        "useradd --create-home operator-of-the-test && cd ~operator-of-the-test && mkdir .ssh && \
         cp /root/.ssh/authorized_keys .ssh/ && chown -R operator-of-the-test: .ssh",
    );
    hang_up();
    let refused = PLATFORM.run_with(&file, &["plan"]);
    PLATFORM.on(
        "db",
        "echo 'operator-of-the-test ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/operator-of-the-test",
    );
    hang_up();
    let granted = PLATFORM.run_with(&file, &["plan"]);
    hang_up();
    PLATFORM.on("db", "rm /etc/sudoers.d/operator-of-the-test; pkill -u operator-of-the-test; userdel -rf operator-of-the-test");
    refused.expect(1).says("connect to db: its user may not run anything by `sudo -n`");
    // Root may not log in where the operator is another user, and that is all that differs.
    granted.expect(0).says("PermitRootLogin no");
    PLATFORM.heal();
}

fn disk_full() {
    built();
    PLATFORM.on(
        "db",
        "mount -t tmpfs -o size=64k tmpfs /etc/pgbouncer && chown postgres: /etc/pgbouncer && \
         dd if=/dev/zero of=/etc/pgbouncer/full bs=4k count=100 status=none 2>/dev/null; true",
    );
    let ran = PLATFORM.run(&["apply"]);
    let left = PLATFORM.on("db", "ls -A /etc/pgbouncer; umount /etc/pgbouncer");
    ran.expect(1).says("No space left on device").says("/etc/pgbouncer/").says("db");
    assert_eq!(left.trim(), "full", "a file was half-written");
    PLATFORM.heal();
}

/// Holds dpkg's lock on `host` as another package manager would.
pub fn hold_package_lock(host: &str) {
    PLATFORM.on(
        host,
        "systemd-run --quiet --collect --unit=lock-of-the-test python3 -c \
         'import fcntl, time; f = open(\"/var/lib/dpkg/lock-frontend\", \"w\"); \
         fcntl.lockf(f, fcntl.LOCK_EX); open(\"/run/lock-of-the-test\", \"w\"); time.sleep(300)' && \
         for i in $(seq 500); do [ -e /run/lock-of-the-test ] && exit 0; sleep 0.1; done; exit 1",
    );
}

pub fn free_package_lock(host: &str) {
    PLATFORM.on(host, "systemctl stop lock-of-the-test; rm -f /run/lock-of-the-test");
}

/// Removes a package that the platform wants and that others do without for a while.
///
/// It waits for who is at work: an apt-get whose agent was killed goes on alone, finds the lock free some time later, and
/// would put the package back.
pub fn remove_package(host: &str) {
    PLATFORM.on(
        host,
        "for i in $(seq 500); do pgrep -f '[a]pt-get install' >/dev/null || break; sleep 0.1; done; \
         DEBIAN_FRONTEND=noninteractive apt-get remove -qq unattended-upgrades",
    );
}

fn package_lock_held() {
    built();
    remove_package("identity");
    hold_package_lock("identity");
    let ran = PLATFORM.run(&["apply"]);
    free_package_lock("identity");
    ran.expect(1).says("lock").says("identity").says("unattended-upgrades");
    PLATFORM.heal();
}

fn package_missing() {
    built();
    remove_package("identity");
    let pin = "/etc/apt/preferences.d/of-the-test";
    let never = "Package: unattended-upgrades\\nPin: release *\\nPin-Priority: -1\\n";
    PLATFORM.on("identity", &format!("printf '{never}' > {pin}"));
    let ran = PLATFORM.run(&["apply"]);
    PLATFORM.on("identity", &format!("rm {pin}"));
    ran.expect(1).says("identity").says("`unattended-upgrades` is in none of this host's package sources");
    PLATFORM.heal();
}

fn wrong_system() {
    built();
    let address = "address = \"10.0.0.50\"";
    let changed = format!("{address}\nos = \"debian-13\"");
    let file = PLATFORM.variant("another-system", &[(address, &changed)]);
    touch_by_hand("identity");
    for command in ["plan", "apply"] {
        PLATFORM.run_with(&file, &[command]).expect(1).says("identity").says("debian-13");
    }
    assert!(is_touched("identity"), "a host of another system was changed");
    PLATFORM.heal();
}

fn port_taken() {
    built();
    PLATFORM.on(
        "db",
        "systemctl stop pgbouncer && systemd-run --quiet --collect --unit=port-of-the-test \
         python3 -m http.server --bind 10.0.0.30 6432 && \
         for i in $(seq 100); do ss -tln | grep -q :6432 && exit 0; sleep 0.1; done; exit 1",
    );
    let ran = PLATFORM.run(&["apply"]);
    PLATFORM.on("db", "systemctl stop port-of-the-test");
    ran.expect(1).says("pgbouncer").says("db");
    PLATFORM.heal();
}
