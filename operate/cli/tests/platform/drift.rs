//! Drift: what hands change on the hosts, `plan` names and `apply` undoes.

use crate::Test;
use crate::building::built;
use crate::stage::PLATFORM;
use serde_json::Value;
use std::collections::BTreeSet;

pub const TESTS: &[Test] = &[
    ("plan_names_everything_that_hands_changed_and_apply_heals_it", plan_names_what_hands_changed),
    ("plan_changes_nothing", plan_changes_nothing),
    ("a_firewall_rule_added_by_hand_is_drift_whatever_tool_added_it", firewall_rules),
    ("a_database_role_changed_by_hand_is_drift", database_roles),
];

/// Something that a hand does on a host, and the resource in which it shows.
struct Drift {
    host: &'static str,
    by_hand: &'static str,
    resource: &'static str,
}

const fn drift(host: &'static str, by_hand: &'static str, resource: &'static str) -> Drift {
    Drift { host, by_hand, resource }
}

const BY_HAND: [Drift; 14] = [
    drift(
        "cache",
        "echo '# by hand' >> /etc/bastide/valkey/durable.conf",
        "file /etc/bastide/valkey/durable.conf",
    ),
    drift("cache", "chmod 0777 /etc/bastide", "directory /etc/bastide"),
    drift("cache", "sysctl -qw net.ipv4.tcp_syncookies=0", "sysctl bastide-network"),
    drift("db", "systemctl stop pgbouncer", "unit pgbouncer.service"),
    drift("db", "rm /etc/bastide/tls/postgres.pem", "certificate /etc/bastide/tls/postgres"),
    drift("app", "docker rm -f app-blue app-green; systemctl stop 'app@*'", "slots app"),
    drift(
        "app",
        "chown root:root /etc/bastide/app/database.password",
        "file /etc/bastide/app/database.password",
    ),
    drift("edge", "rm /var/lib/bastide-jump/.ssh/authorized_keys", "user jump"),
    drift("edge", "systemctl disable fail2ban", "unit fail2ban.service"),
    drift("edge", "sed -i s/308/302/ /etc/caddy/Caddyfile", "file /etc/caddy/Caddyfile"),
    // The kernel resets other settings of the network with it.
    drift("edge", "sysctl -qw net.ipv4.ip_forward=0", "sysctl bastide-egress"),
    drift("edge", "sysctl -qw net.ipv4.conf.all.secure_redirects=1", "sysctl bastide-network"),
    drift("identity", "sed -i /app$/d /etc/hosts", "file /etc/hosts"),
    drift("identity", "apt-get remove -qq unattended-upgrades", "packages unattended-upgrades"),
];

/// The resources that a plan names, with their hosts.
fn differences(document: &Value) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let differences = document["differences"].as_array().unwrap().iter();
    differences.map(|difference| (text(&difference["host"]), text(&difference["resource"]))).collect()
}

fn plan_names_what_hands_changed() {
    built();
    for drift in BY_HAND.iter().rev() {
        PLATFORM.on(drift.host, drift.by_hand);
    }
    let document = PLATFORM.run(&["plan", "--exit-code", "--json"]).expect(3).json();
    let found = differences(&document);
    for drift in &BY_HAND {
        let named = found.iter().any(|(host, id)| host == drift.host && id.starts_with(drift.resource));
        assert!(named, "`{}` on {} is not in the plan: {found:#?}", drift.by_hand, drift.host);
    }
    // Units that use what changed may be in it, and nothing else.
    let expected = |host: &str, id: &str| {
        id.starts_with("unit ")
            || BY_HAND.iter().any(|drift| drift.host == host && id.starts_with(drift.resource))
    };
    let others: Vec<_> = found.iter().filter(|(host, id)| !expected(host, id)).collect();
    assert!(others.is_empty(), "nobody changed {others:?}");

    let applied = PLATFORM.run(&["apply", "--json"]).expect(0).json();
    assert!(applied["changed"].as_u64().unwrap() >= BY_HAND.len() as u64, "{applied:#}");
    PLATFORM.run(&["plan", "--exit-code"]).expect(0);
}

fn plan_changes_nothing() {
    built();
    let path = "/etc/sudoers.d/10-bastide";
    PLATFORM.on("db", &format!("echo '# by hand' >> {path}"));
    PLATFORM.run(&["plan"]).expect(0).says("-# by hand").says(path);
    assert!(PLATFORM.on("db", &format!("cat {path}")).contains("# by hand"), "plan changed the file");
    PLATFORM.heal();
    assert!(!PLATFORM.on("db", &format!("cat {path}")).contains("# by hand"), "apply left the file");
}

/// Makes `changes` on their hosts and expects exactly `resource` of each host to differ, until it is healed.
fn assert_drift(changes: &[(&str, &str)], resource: &str) {
    for (host, by_hand) in changes {
        PLATFORM.on(host, by_hand);
    }
    let document = PLATFORM.run(&["plan", "--exit-code", "--json"]).expect(3).json();
    let expected = changes.iter().map(|(host, _)| ((*host).to_owned(), resource.to_owned())).collect();
    assert_eq!(differences(&document), expected, "{document:#}");
    PLATFORM.heal();
}

fn firewall_rules() {
    built();
    let changes = [
        ("app", "ufw allow 9999/tcp"),
        ("cache", "iptables -I INPUT -p tcp --dport 9999 -j ACCEPT"),
        ("db", "ip6tables -P INPUT ACCEPT"),
        (
            "identity",
            "nft 'add table inet byhand; \
             add chain inet byhand input { type filter hook input priority -10; policy accept; }; \
             add rule inet byhand input tcp dport 9999 accept'",
        ),
    ];
    assert_drift(&changes, "firewall ufw");
    assert!(!PLATFORM.on("identity", "nft list tables").contains("byhand"));
}

fn database_roles() {
    built();
    let sql = |statement: &str| format!("su postgres -c \"psql -qc \\\"{statement}\\\"\"");
    assert_drift(&[("db", &sql("ALTER ROLE app SUPERUSER"))], "postgres-role app");
    assert_drift(&[("db", &sql("ALTER ROLE app_owner PASSWORD 'by-hand'"))], "postgres-role app_owner");
}
