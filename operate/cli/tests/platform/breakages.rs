//! What is broken, where, and which checks must notice. The groups keep apart what would hide another breakage.

use crate::breakage::Breakage;

const fn broken(
    host: &'static str,
    breaks: &'static str,
    heals: &'static str,
    noticed_by: &'static [(&'static str, &'static str)],
) -> Breakage {
    Breakage { host, breaks, heals, noticed_by }
}

/// Checks whose claim no lab can break for real, with the tests that show them failing.
pub const JUDGED_BY_UNIT_TESTS: &[(&str, &str)] = &[
    // A lab's host has its machine's clock.
    ("clock/right", "bastide_components::clock::tests::a_wrong_clock_is_found"),
    // Older releases are in no package source of the lab.
    ("sshd/version", "bastide_components::sshd::tests::an_old_server_is_found"),
    ("postgres/version", A_RELEASE),
    ("pgbouncer/version", A_RELEASE),
    ("valkey/durable-version", A_RELEASE),
    ("valkey/cache-version", A_RELEASE),
    ("docker/version", A_RELEASE),
    ("caddy/version", A_RELEASE),
    ("fail2ban/version", A_RELEASE),
    ("identity/database-version", A_RELEASE),
    // No key of a lab is that old.
    (
        "identity/signing-keys-rotate",
        "bastide_components::identity::checks::metrics::tests::a_key_that_was_not_rotated_is_noticed",
    ),
    // Caddy cannot be talked into it.
    (
        "caddy/no-old-tls",
        "bastide_verify::probe::tls::tests::old_versions_are_refused_by_a_modern_server_and_seen_at_an_old_one",
    ),
];

const A_RELEASE: &str = "bastide_components::probing::tests::an_older_release_is_refuted";

/// Settings of hosts: sshd, the kernel, the journal, upgrades.
pub const HOSTS: &[Breakage] = &[
    broken(
        "cache",
        "sysctl -qw net.ipv4.tcp_syncookies=0",
        "sysctl -qw net.ipv4.tcp_syncookies=1",
        &[("base/kernel-settings", "cache")],
    ),
    broken(
        "identity",
        "mkdir -p /run/systemd/journald.conf.d && \
         printf '[Journal]\\nStorage=volatile\\n' > /run/systemd/journald.conf.d/99-by-hand.conf && \
         mv /var/log/journal /var/log/journal-away && systemctl restart systemd-journald",
        "rm /run/systemd/journald.conf.d/99-by-hand.conf; rm -rf /var/log/journal; \
         mv /var/log/journal-away /var/log/journal; systemctl restart systemd-journald; journalctl --flush",
        &[("base/journal-survives", "identity")],
    ),
    broken(
        "db",
        "echo '#clear Unattended-Upgrade::Package-Blacklist;' > /etc/apt/apt.conf.d/99-by-hand",
        "rm /etc/apt/apt.conf.d/99-by-hand",
        &[("upgrades/exclusions", "db")],
    ),
    broken(
        "db",
        "printf 'AuthenticationMethods any\\nPasswordAuthentication yes\\n' > \
         /etc/ssh/sshd_config.d/00-a-by-hand.conf && systemctl reload ssh",
        "rm /etc/ssh/sshd_config.d/00-a-by-hand.conf && systemctl reload ssh",
        &[("sshd/keys-only", "db")],
    ),
    broken(
        "edge",
        "printf 'AllowTcpForwarding yes\\nPermitOpen any\\nPermitListen any\\n' > \
         /etc/ssh/sshd_config.d/00-a-by-hand.conf && systemctl reload ssh",
        "rm /etc/ssh/sshd_config.d/00-a-by-hand.conf && systemctl reload ssh",
        &[("bastion/forwards-to-ssh-alone", "edge"), ("bastion/opens-no-port", "edge")],
    ),
];

/// Ways through the network that no flow knows.
pub const NETWORK: &[Breakage] = &[
    broken(
        "cache",
        "ip route add 9.9.9.0/24 via 10.0.0.20",
        "ip route del 9.9.9.0/24 via 10.0.0.20",
        &[("egress/no-other-way-out", "cache")],
    ),
    broken(
        "edge",
        "iptables -I FORWARD -s 10.0.0.0/24 -j ACCEPT",
        "iptables -D FORWARD -s 10.0.0.0/24 -j ACCEPT",
        &[("egress/through-the-edge-alone", "")],
    ),
    broken(
        "identity",
        "iptables -P FORWARD ACCEPT",
        "iptables -P FORWARD DROP",
        &[("firewall/denies-by-default", "identity")],
    ),
    broken(
        "identity",
        "iptables -I INPUT -p tcp --dport 9999 -j ACCEPT && systemd-run --quiet --collect --unit=by-hand \
         python3 -m http.server 9999 && for i in $(seq 100); do ss -tln | grep -q :9999 && exit 0; sleep 0.1; done",
        "systemctl stop by-hand; iptables -D INPUT -p tcp --dport 9999 -j ACCEPT",
        &[("reachability/app-to-identity", "identity"), ("reachability/edge-to-identity", "identity")],
    ),
    // What a flow allows and the firewall drops is wrong too.
    broken(
        "db",
        "iptables -I INPUT -p tcp --dport 22 -s 10.0.0.10 -m conntrack --ctstate NEW -j DROP",
        "iptables -D INPUT -p tcp --dport 22 -s 10.0.0.10 -m conntrack --ctstate NEW -j DROP",
        &[("reachability/edge-to-db", "db")],
    ),
    broken(
        "db",
        "ip address add 198.18.0.9/32 dev lo",
        "ip address del 198.18.0.9/32 dev lo",
        &[("reachability/one-public-address", ""), ("egress/no-other-way-out", "db")],
    ),
    broken(
        "edge",
        "iptables -I INPUT -p tcp --dport 54321 -j ACCEPT && systemd-run --quiet --collect --unit=by-hand \
         python3 -m http.server 54321 && for i in $(seq 100); do ss -tln | grep -q :54321 && exit 0; sleep 0.1; done",
        "systemctl stop by-hand; iptables -D INPUT -p tcp --dport 54321 -j ACCEPT",
        &[
            ("reachability/every-port-of-the-public-address", "edge"),
            ("reachability/internet-to-edge", "edge"),
        ],
    ),
];

/// Services that let in whom they should not, or do less than they promise.
pub const SERVICES: &[Breakage] = &[
    broken(
        "db",
        "cd /etc/postgresql/*/main && cp -p pg_hba.conf /root/kept.hba && sed -i '1i host all all 0.0.0.0/0 trust' \
         pg_hba.conf && su postgres -c \"psql -qc 'SELECT pg_reload_conf()'\" && \
         su postgres -c \"psql -qd app -c 'REVOKE SELECT ON schema_migrations FROM app' \
         -c 'GRANT CREATE ON SCHEMA public TO app'\"",
        "cd /etc/postgresql/*/main && mv /root/kept.hba pg_hba.conf && su postgres -c \"psql -qc \
         'SELECT pg_reload_conf()'\" && su postgres -c \"psql -qd app -c 'GRANT SELECT ON schema_migrations TO app' \
         -c 'REVOKE CREATE ON SCHEMA public FROM app'\"",
        &[
            ("postgres/lets-in-by-scram-alone", "db"),
            ("postgres/refuses-plaintext", "db"),
            ("postgres/refuses-other-hosts", "db"),
            ("postgres/no-trust-no-md5", "db"),
            ("pgbouncer/serving-role-is-confined", "db"),
            ("app/end-to-end", ""),
            ("app/metrics", "app"),
        ],
    ),
    broken(
        "db",
        "cp -pr /etc/pgbouncer /root/kept.pgbouncer && cd /etc/pgbouncer && \
         sed -i '1i host all all 0.0.0.0/0 trust' hba.conf && sed -i -e 's/client_tls_sslmode = require/client_tls_sslmode = prefer/' \
         -e 's/max_prepared_statements = .*/max_prepared_statements = 0/' pgbouncer.ini && systemctl restart pgbouncer",
        "rm -r /etc/pgbouncer && mv /root/kept.pgbouncer /etc/pgbouncer && systemctl restart pgbouncer",
        &[
            ("pgbouncer/lets-in-by-scram-alone", "db"),
            ("pgbouncer/refuses-plaintext", "db"),
            ("pgbouncer/pools-the-application-alone", "db"),
            ("pgbouncer/prepared-statements", "db"),
        ],
    ),
    broken(
        "db",
        "su postgres -c \"psql -qc 'ALTER SYSTEM SET log_min_duration_statement TO -1' -c 'SELECT pg_reload_conf()'\"",
        "su postgres -c \"psql -qc 'ALTER SYSTEM RESET log_min_duration_statement' -c 'SELECT pg_reload_conf()'\"",
        &[("postgres/slow-statements-are-named", "db")],
    ),
    in_the_clear_durable(),
    generous_cache(),
    // The slot that rests.
    broken(
        "app",
        "if systemctl is-active --quiet app@blue; then slot=green; else slot=blue; fi; echo $slot > /root/by-hand && \
         systemctl start app@$slot && for i in $(seq 100); do [ $(docker ps -q | wc -l) = 2 ] && exit 0; sleep 0.1; done; exit 1",
        "systemctl stop app@$(cat /root/by-hand); rm /root/by-hand",
        &[("app/one-container", "app"), ("app/speaks-tls", "app")],
    ),
    broken(
        "edge",
        "cp -p /etc/caddy/Caddyfile /root/kept.caddy && sed -i -e 's/ 308$/ 302/' \
         -e 's/Strict-Transport-Security/X-By-Hand/' -e '/trusted_proxies/d' -e '/client_ip_headers/d' \
         -e 's/require_and_verify/request/' -e 's#root /var/lib/bastide/bans#root /var/lib/bastide/none#' \
         -e 's/bstinv_/none_/' \
         /etc/caddy/Caddyfile && systemctl reload caddy",
        "mv /root/kept.caddy /etc/caddy/Caddyfile && systemctl reload caddy",
        &[
            ("caddy/redirects-to-https", "edge"),
            ("caddy/headers-and-http-2", "edge"),
            ("caddy/access-log-knows-the-client", "edge"),
            ("caddy/access-log-keeps-no-secret", "edge"),
            ("cloudflare/refuses-without-certificate", "edge"),
            ("fail2ban/bans-the-client-and-nobody-else", "edge"),
        ],
    ),
    broken(
        "edge",
        "iptables -I INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT",
        "iptables -D INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT",
        &[("cloudflare/refuses-the-internet", "edge")],
    ),
    broken(
        "edge",
        "fail2ban-client stop caddy-refused",
        "systemctl restart fail2ban",
        &[("fail2ban/watches", "edge")],
    ),
];

/// What would have hidden another breakage, or been hidden by it.
pub const SERVICES_AGAIN: &[Breakage] = &[
    broken(
        "db",
        "systemctl stop pgbouncer 'postgresql@*' && su postgres -c '$(ls -d /usr/lib/postgresql/*/bin)/pg_checksums \
         --disable --pgdata $(ls -d /var/lib/postgresql/*/main)' && systemctl start postgresql pgbouncer",
        "systemctl stop pgbouncer 'postgresql@*' && su postgres -c '$(ls -d /usr/lib/postgresql/*/bin)/pg_checksums \
         --enable --pgdata $(ls -d /var/lib/postgresql/*/main)' && systemctl start postgresql pgbouncer",
        &[("postgres/checksums", "db")],
    ),
    generous_durable(),
    in_the_clear_cache(),
    issuer_in_the_clear(),
    broken(
        "app",
        "cp -p /etc/systemd/system/app@.service /root/kept.app && sed -i -e 's/--read-only //' \
         -e 's/--cap-drop ALL //' /etc/systemd/system/app@.service && systemctl daemon-reload && \
         systemctl restart 'app@*' && for i in $(seq 100); do [ $(docker ps -q | wc -l) = 1 ] && exit 0; sleep 0.1; done; exit 1",
        "mv /root/kept.app /etc/systemd/system/app@.service && systemctl daemon-reload && systemctl restart 'app@*'",
        &[("app/confined", "app")],
    ),
    broken(
        "edge",
        "cp -p /etc/caddy/Caddyfile /root/kept.caddy && sed -i '/issuer acme {/,/}/c issuer internal' \
         /etc/caddy/Caddyfile && systemctl reload caddy",
        "mv /root/kept.caddy /etc/caddy/Caddyfile && systemctl reload caddy",
        &[("caddy/certificate", "edge")],
    ),
];

/// An issuer that may do too much, is open to others, sends people anywhere, or whose credential ends soon.
pub const ISSUER: &[Breakage] = &[
    broken(
        "identity",
        "mkdir -p /run/systemd/system/identity.service.d && printf \
         '[Service]\\nProtectSystem=no\\nMemoryMax=infinity\\nSystemCallFilter=\\n' > \
         /run/systemd/system/identity.service.d/by-hand.conf && systemctl daemon-reload && systemctl restart identity",
        "rm -r /run/systemd/system/identity.service.d && systemctl daemon-reload && systemctl restart identity",
        &[("identity/confined", "identity")],
    ),
    broken(
        "identity",
        "cp -p /etc/bastide/identity.toml /root/kept.toml && sed -i -e \"0,/^redirect_uris = \\[/s##&'https://bastide-verify.example/callback', #\" \
         -e \"s/^kind = .google.$/&\\nexpires = $(date -d '+10 days' +%F)/\" /etc/bastide/identity.toml && systemctl restart identity",
        "mv /root/kept.toml /etc/bastide/identity.toml && systemctl restart identity",
        &[("identity/refuses-foreign-redirects", "identity"), ("identity/credentials-last", "identity")],
    ),
    broken(
        "identity",
        "chmod 0755 /etc/bastide/identity && chmod 0644 /etc/bastide/identity/sealing-keys",
        "chmod 0710 /etc/bastide/identity && chmod 0440 /etc/bastide/identity/sealing-keys",
        &[("identity/secrets-are-closed", "identity")],
    ),
    broken(
        "identity",
        "cd /etc/postgresql/*/main && cp -p pg_hba.conf /root/kept.hba && sed -i '1i host all all 127.0.0.1/32 trust' \
         pg_hba.conf && su postgres -c \"psql -qc 'SELECT pg_reload_conf()'\" && \
         su postgres -c \"psql -qd identity -c 'GRANT CREATE ON SCHEMA public TO identity'\"",
        "cd /etc/postgresql/*/main && mv /root/kept.hba pg_hba.conf && su postgres -c \"psql -qc \
         'SELECT pg_reload_conf()'\" && su postgres -c \"psql -qd identity -c 'REVOKE CREATE ON SCHEMA public FROM identity'\"",
        &[("identity/own-database", "identity"), ("identity/serving-role-is-confined", "identity")],
    ),
    // Nothing else is wrong with signing in. It ends by a reset, which the edge's kernel soon forgets.
    broken(
        "app",
        "name=$(grep -o 'google[.][a-z0-9-]*-login.test' /etc/hosts | head -n 1) && systemd-run --quiet --collect --unit=by-hand \
         python3 -c \"import socket, struct, time; s = socket.create_connection(('$name', 443)); \
         s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); time.sleep(600)\" && \
         for i in $(seq 100); do ss -Htnp state established | grep -q python3 && exit 0; sleep 0.1; done; exit 1",
        "systemctl stop by-hand",
        SIGNING_IN,
    ),
];

/// Signing in by each login provider.
const SIGNING_IN: &[(&str, &str)] = &[
    ("identity/sign-in-by-google", "identity"),
    ("identity/sign-in-by-github", "identity"),
    ("identity/sign-in-by-microsoft", "identity"),
    ("identity/sign-in-by-apple", "identity"),
];

/// Cookies that scripts can read.
pub const COOKIES: &[Breakage] = &[broken(
    "edge",
    "cp -p /etc/caddy/Caddyfile /root/kept.caddy && sed -i '/Strict-Transport-Security/i Set-Cookie \"; HttpOnly\" \"\"' \
     /etc/caddy/Caddyfile && systemctl reload caddy",
    "mv /root/kept.caddy /etc/caddy/Caddyfile && systemctl reload caddy",
    SIGNING_IN,
)];

/// An issuer under another name, which would have hidden the others.
pub const ISSUER_AGAIN: &[Breakage] = &[broken(
    "identity",
    "cp -p /etc/bastide/identity.env /root/kept.env && sed -i 's#^PUBLIC_URL=.*#PUBLIC_URL=https://id.elsewhere.test#' \
     /etc/bastide/identity.env && systemctl restart identity",
    "mv /root/kept.env /etc/bastide/identity.env && systemctl restart identity",
    &[
        ("identity/names-itself", "identity"),
        ("identity/signing-keys", "identity"),
        ("identity/app-reaches-it", "identity"),
    ],
)];

const fn issuer_in_the_clear() -> Breakage {
    broken(
        "identity",
        "cp -p /etc/bastide/identity.env /root/kept.env && sed -i '/^TLS_/d' /etc/bastide/identity.env && \
         systemctl restart identity",
        "mv /root/kept.env /etc/bastide/identity.env && systemctl restart identity",
        &[("identity/speaks-tls", "identity")],
    )
}

const fn in_the_clear_durable() -> Breakage {
    broken(
        "cache",
        "cd /etc/bastide/valkey && cp -p durable.conf /root/kept.durable && \
         sed -i -e 's/^port 0/port 6379/' -e 's/^tls-port .*/tls-port 0/' durable.conf && systemctl restart valkey@durable",
        "mv /root/kept.durable /etc/bastide/valkey/durable.conf && systemctl restart valkey@durable",
        &[("valkey/durable-refuses-plaintext", "cache")],
    )
}

const fn in_the_clear_cache() -> Breakage {
    broken(
        "cache",
        "cd /etc/bastide/valkey && cp -p cache.conf /root/kept.cache && \
         sed -i -e 's/^port 0/port 6380/' -e 's/^tls-port .*/tls-port 0/' cache.conf && systemctl restart valkey@cache",
        "mv /root/kept.cache /etc/bastide/valkey/cache.conf && systemctl restart valkey@cache",
        &[("valkey/cache-refuses-plaintext", "cache")],
    )
}

const fn generous_durable() -> Breakage {
    broken(
        "cache",
        "cd /etc/bastide/valkey && cp -p durable.conf durable.acl /root/ && sed -i -e 's/noeviction/allkeys-lfu/' \
         durable.conf && sed -i -e 's/^user default .*/user default on nopass ~* \\&* +@all/' \
         -e '/^user app /s/ -@admin -@dangerous/ +@all/' durable.acl && systemctl restart valkey@durable",
        "mv /root/durable.conf /root/durable.acl /etc/bastide/valkey/ && systemctl restart valkey@durable",
        &[
            ("valkey/durable-refuses-strangers", "cache"),
            ("valkey/durable-denies-danger", "cache"),
            ("valkey/durable-memory-pressure", "cache"),
        ],
    )
}

const fn generous_cache() -> Breakage {
    broken(
        "cache",
        "cd /etc/bastide/valkey && cp -p cache.conf cache.acl /root/ && sed -i -e 's/allkeys-lfu/noeviction/' \
         cache.conf && sed -i -e 's/^user default .*/user default on nopass ~* \\&* +@all/' \
         -e '/^user app /s/ -@admin -@dangerous/ +@all/' cache.acl && systemctl restart valkey@cache",
        "mv /root/cache.conf /root/cache.acl /etc/bastide/valkey/ && systemctl restart valkey@cache",
        &[
            ("valkey/cache-refuses-strangers", "cache"),
            ("valkey/cache-denies-danger", "cache"),
            ("valkey/cache-memory-pressure", "cache"),
        ],
    )
}
