//! PostgreSQL and PgBouncer, and who may reach them.

use super::edge::flows_where;
use super::rule::{Origin, Rule, Severity, Spot, spot_if};
use crate::{Endpoint, Flow, OperatingSystem, PGBOUNCER_FLOOR, Platform, PoolMode, Role, Version};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "pgbouncer-prepared-version",
        origin: Origin::Row(2),
        severity: Severity::Error,
        reason: "Before 1.21 PgBouncer does not carry prepared statements over in transaction mode: a client's \
                 statement is missing on the next server connection.",
        fix: "Remove `minimum_version`, so that the floor in the code holds.",
        find: prepared_version,
    },
    Rule {
        id: "pgbouncer-prepared-off",
        origin: Origin::Row(2),
        severity: Severity::Error,
        reason: "With max_prepared_statements at 0 a prepared statement breaks as soon as its client gets another \
                 server connection.",
        fix: "Remove `max_prepared_statements`, which is then 200.",
        find: prepared_off,
    },
    Rule {
        id: "pgbouncer-session-pooling",
        origin: Origin::Row(2),
        severity: Severity::Warning,
        reason: "In session mode a client keeps its server connection for as long as it is connected, so more \
                 clients than server connections wait.",
        fix: "Set `pool_mode` to \"transaction\".",
        find: session_pooling,
    },
    Rule {
        id: "pgbouncer-statement-pooling",
        origin: Origin::Row(2),
        severity: Severity::Error,
        reason: "In statement mode there are no transactions, and a write, its audit event and its outbox row must \
                 commit together.",
        fix: "Set `pool_mode` to \"transaction\".",
        find: statement_pooling,
    },
    Rule {
        id: "pgbouncer-floor",
        origin: Origin::Difference(5),
        severity: Severity::Warning,
        reason: "From 1.17.0 to 1.26.0 a user in `auth_file` can log in as another (CVE-2026-107350).",
        fix: "Remove `minimum_version`, and take PgBouncer from a source that has 1.26.1.",
        find: below_floor,
    },
    Rule {
        id: "pgbouncer-debian-13",
        origin: Origin::Difference(5),
        severity: Severity::Note,
        reason: "Debian 13 patches its PgBouncer 1.24.1 and has no fix yet for CVE-2026-107350, by which a user in \
                 `auth_file` can log in as another; Bastide keeps a single user there, so it gains nothing.",
        fix: "Add no user to `auth_file` by hand, or give the host `os = \"debian-14\"`, which has 1.26.1.",
        find: unfixed_on_debian_13,
    },
    Rule {
        id: "pgbouncer-pool-size",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "A pool as large as the server leaves no connection for migrations, monitoring and backups.",
        fix: "Keep `pool_size` at least 10 below `max_connections` of [postgres].",
        find: pool_size,
    },
    Rule {
        id: "postgres-logical-replication",
        origin: Origin::Row(12),
        severity: Severity::Warning,
        reason: "Logical replication does not carry CREATE and ALTER over: a migration on one side alone stops it.",
        fix: "Use physical replication, or run every migration on the replica first and then on the primary.",
        find: logical_replication,
    },
    Rule {
        id: "postgres-unsafe-setting",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "The setting takes back what the platform promises: data that survives a crash, and logins that \
                 nobody can read or forge.",
        fix: "Remove it from [postgres.extra].",
        find: unsafe_setting,
    },
    Rule {
        id: "postgres-io-uring",
        origin: Origin::Design,
        severity: Severity::Warning,
        reason: "io_uring fails under memory-lock limits and on kernels that turn it off, and then PostgreSQL does \
                 not start.",
        fix: "Remove `io_method` from [postgres.extra]; the default is \"worker\".",
        find: io_uring,
    },
    Rule {
        id: "postgres-old",
        origin: Origin::Difference(10),
        severity: Severity::Error,
        reason: "The platform is built and proven on PostgreSQL 17 and 18.",
        fix: "Remove `version`, or set it to 18.",
        find: old_version,
    },
    Rule {
        id: "postgres-previous",
        origin: Origin::Difference(10),
        severity: Severity::Note,
        reason: "PostgreSQL 17 is maintained until November 2029 and its successor is out.",
        fix: "Start new platforms on 18.",
        find: previous_version,
    },
    Rule {
        id: "postgres-not-packaged",
        origin: Origin::Difference(10),
        severity: Severity::Error,
        reason: "A Debian release has one major version of PostgreSQL: 18 in debian-14, 17 in debian-13.",
        fix: "Remove `version`, which takes the one there is.",
        find: not_packaged,
    },
    Rule {
        id: "data-one-path",
        origin: Origin::Difference(8),
        severity: Severity::Error,
        reason: "The app hosts are the only path to the data, so that one place decides who sees what.",
        fix: "Let the source ask the application, as MCP does through its private read-only endpoint.",
        find: second_path_to_data,
    },
    Rule {
        id: "exporters-exposed",
        origin: Origin::Row(7),
        severity: Severity::Error,
        reason: "Exporters answer whoever asks, and tell names, versions and load.",
        fix: "Remove the flow: Prometheus on the identity host reaches every exporter already.",
        find: exporters_exposed,
    },
];

/// First PgBouncer with prepared statements in transaction mode.
const PREPARED_STATEMENTS: Version = Version::new(1, 21, 0);

/// Connections that must be left beside the pool.
const SPARE_CONNECTIONS: u16 = 10;

/// Ports of the exporters, of Prometheus and of Loki.
const MONITORING_PORTS: [u16; 7] = [3100, 9090, 9100, 9115, 9121, 9127, 9187];

fn prepared_version(platform: &Platform) -> Vec<Spot> {
    let pgbouncer = &platform.settings.pgbouncer;
    let old = pgbouncer.minimum_version < PREPARED_STATEMENTS;
    spot_if(old && pgbouncer.pool_mode == PoolMode::Transaction, "pgbouncer.minimum_version", || {
        format!("PgBouncer {} may run, in transaction mode", pgbouncer.minimum_version)
    })
}

fn prepared_off(platform: &Platform) -> Vec<Spot> {
    let pgbouncer = &platform.settings.pgbouncer;
    let off = pgbouncer.max_prepared_statements == 0 && pgbouncer.pool_mode == PoolMode::Transaction;
    spot_if(off, "pgbouncer.max_prepared_statements", || {
        "prepared statements are off in transaction mode".to_owned()
    })
}

fn session_pooling(platform: &Platform) -> Vec<Spot> {
    let session = platform.settings.pgbouncer.pool_mode == PoolMode::Session;
    spot_if(session, "pgbouncer.pool_mode", || "PgBouncer pools sessions".to_owned())
}

fn statement_pooling(platform: &Platform) -> Vec<Spot> {
    let statement = platform.settings.pgbouncer.pool_mode == PoolMode::Statement;
    spot_if(statement, "pgbouncer.pool_mode", || "PgBouncer pools statements".to_owned())
}

fn below_floor(platform: &Platform) -> Vec<Spot> {
    let least = platform.settings.pgbouncer.minimum_version;
    spot_if(least < PGBOUNCER_FLOOR, "pgbouncer.minimum_version", || {
        format!("PgBouncer {least} may run, below the floor of {PGBOUNCER_FLOOR}")
    })
}

fn unfixed_on_debian_13(platform: &Platform) -> Vec<Spot> {
    let old = platform.hosts_with(Role::Db).filter(|host| host.os == OperatingSystem::Debian13);
    old.map(|host| Spot::new(format!("hosts.{}.os", host.name), format!("{} runs {}", host.name, host.os)))
        .collect()
}

fn pool_size(platform: &Platform) -> Vec<Spot> {
    let (pool, server) = (platform.settings.pgbouncer.pool_size, platform.settings.postgres.max_connections);
    spot_if(pool.saturating_add(SPARE_CONNECTIONS) > server, "pgbouncer.pool_size", || {
        format!("the pool takes {pool} of the server's {server} connections")
    })
}

/// The value of a setting in `[postgres.extra]`, in lower case.
fn extra(platform: &Platform, name: &str) -> Option<String> {
    let extra = platform.settings.postgres.extra.iter();
    extra.rev().find(|(key, _)| key == name).map(|(_, value)| value.to_lowercase())
}

fn logical_replication(platform: &Platform) -> Vec<Spot> {
    let logical = extra(platform, "wal_level").as_deref() == Some("logical");
    spot_if(logical, "postgres.extra.wal_level", || {
        "the write-ahead log is written for logical replication".to_owned()
    })
}

fn unsafe_setting(platform: &Platform) -> Vec<Spot> {
    let settings = platform.settings.postgres.extra.iter();
    let broken = settings.filter(|(name, value)| is_unsafe(name, &value.to_lowercase()));
    broken
        .map(|(name, value)| Spot::new(format!("postgres.extra.{name}"), format!("{name} is \"{value}\"")))
        .collect()
}

fn is_unsafe(name: &str, value: &str) -> bool {
    match name {
        "fsync" | "full_page_writes" | "synchronous_commit" | "ssl" => {
            matches!(value, "off" | "false" | "no" | "0")
        }
        "password_encryption" => value == "md5",
        "listen_addresses" => ["*", "0.0.0.0", "::"].iter().any(|everywhere| value.contains(everywhere)),
        "hba_file" => true,
        _ => false,
    }
}

fn io_uring(platform: &Platform) -> Vec<Spot> {
    let uring = extra(platform, "io_method").as_deref() == Some("io_uring");
    spot_if(uring, "postgres.extra.io_method", || "PostgreSQL reads and writes by io_uring".to_owned())
}

fn old_version(platform: &Platform) -> Vec<Spot> {
    let version = platform.settings.postgres.version;
    let old = version.filter(|version| *version < 17);
    old.map(|version| Spot::new("postgres.version", format!("PostgreSQL {version} is asked for")))
        .into_iter()
        .collect()
}

fn previous_version(platform: &Platform) -> Vec<Spot> {
    let previous = platform.settings.postgres.version == Some(17);
    spot_if(previous, "postgres.version", || "PostgreSQL 17 is asked for".to_owned())
}

fn not_packaged(platform: &Platform) -> Vec<Spot> {
    let Some(version) = platform.settings.postgres.version else { return Vec::new() };
    let packaged = |os| match os {
        OperatingSystem::Debian14 => version == 18,
        OperatingSystem::Debian13 => version == 17,
        OperatingSystem::Ubuntu2404 | OperatingSystem::Ubuntu2604 => true,
    };
    let without = platform.hosts_with(Role::Db).filter(|host| !packaged(host.os));
    without
        .map(|host| {
            Spot::new(
                "postgres.version",
                format!("{} runs {}, without PostgreSQL {version}", host.name, host.os),
            )
        })
        .collect()
}

fn second_path_to_data(platform: &Platform) -> Vec<Spot> {
    flows_where(platform, |flow: &Flow| {
        let data = matches!(flow.to, Endpoint::Role(Role::Db | Role::Cache));
        let known = matches!(flow.from, Endpoint::Role(Role::App | Role::Db | Role::Cache));
        data && !known && !MONITORING_PORTS.contains(&flow.port.number)
    })
}

fn exporters_exposed(platform: &Platform) -> Vec<Spot> {
    flows_where(platform, |flow: &Flow| {
        MONITORING_PORTS.contains(&flow.port.number) && flow.from != Endpoint::Role(Role::Identity)
    })
}
