//! PostgreSQL: the platform's record of everything that matters.
//!
//! It listens on the private address alone, accepts TLS with SCRAM and nothing else, and knows three roles: the
//! application's (through PgBouncer), the schema's owner (migrations, directly) and PgBouncer's own.

mod checks;
pub(crate) mod login;

use crate::authority::Wanted;
use crate::paths::{AUTHORITY, TLS_DIRECTORY};
use crate::source::{self, Software};
use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{
    Directory, File, PostgresDatabase, PostgresExtension, PostgresObject, PostgresRole, PostgresSettings,
    Resource, Unit,
};
use bastide_platform::{Endpoint, Flow, Host, Platform, Port, Role};
use bastide_verify::Check;
use std::time::Duration;

/// Port of the server.
pub const PORT: u16 = 5432;
/// The application's database.
pub const DATABASE: &str = "app";
/// The role whose password the application has; it reads and writes rows.
pub const SERVING_ROLE: &str = "app";
/// The role that owns the schema; migrations log in as it.
pub const OWNING_ROLE: &str = "app_owner";
/// The role with which PgBouncer asks for verifiers; it can do nothing else.
pub const POOLER_ROLE: &str = "pgbouncer";
/// The query with which PgBouncer asks for the verifier of the user who logs in.
pub const POOLER_QUERY: &str = "SELECT name, verifier FROM pgbouncer.get_auth($1)";

/// A statement that takes longer is logged.
pub const SLOW: Duration = Duration::from_secs(1);
/// The setting that says so.
pub const SLOW_SETTING: &str = "log_min_duration_statement";

pub(crate) const NAME: &str = "postgres";
const NEW_CLUSTER: &str = "/etc/postgresql-common/createcluster.d";

/// Name of a role's password among the operator's secrets.
pub fn password_of(role: &str) -> String {
    format!("postgres/{role}")
}

/// The component.
pub struct Postgres;

impl Component for Postgres {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Database
    }

    fn placed_on(&self, host: &Host) -> bool {
        host.has(Role::Db)
    }

    fn flows(&self, _platform: &Platform) -> Vec<Flow> {
        let from = Endpoint::Role(Role::App);
        vec![Flow::new(from, Endpoint::Role(Role::Db), Port::tcp(PORT), "migrations, directly on PostgreSQL")]
    }

    fn resources(&self, context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
        let version = version(context.platform, host);
        let failed = |error: &dyn std::fmt::Display| ComponentError::new(NAME, host, error);
        let source = source::source(Software::Postgres(version), host.os).map_err(|error| failed(&error))?;
        let directory = Directory {
            path: NEW_CLUSTER.to_owned(),
            owner: "root".to_owned(),
            group: "root".to_owned(),
            mode: 0o755,
        };
        let mut resources = vec![Resource::new(NAME, directory), Resource::new(NAME, new_cluster())];
        resources.extend(source.resources(NAME));

        let wanted = Wanted {
            name: NAME,
            directory: TLS_DIRECTORY,
            names: &[host.address.to_string(), host.name.to_string()],
            owner: "postgres",
            group: "postgres",
            key_mode: 0o400,
        };
        let certificate =
            context.authority.resource(NAME, &wanted, context.now).map_err(|error| failed(&error))?;
        let access = Resource::new(NAME, access(context.platform, host, version));
        let drop_in = Resource::new(NAME, drop_in());
        let settings = Resource::new(NAME, settings(context.platform, host, version));
        let unit = Unit::running(&format!("postgresql@{version}-main.service"))
            .restarted_by([&drop_in])
            .reloaded_by([&certificate, &access]);
        resources.extend([certificate, access, drop_in, settings]);
        resources
            .extend([Resource::new(NAME, unit), Resource::new(NAME, Unit::running("postgresql.service"))]);
        resources.extend(roles(context));
        resources.extend(database());
        Ok(resources)
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        checks::checks(context)
    }
}

/// Major version of the cluster on `host`.
pub fn version(platform: &Platform, host: &Host) -> u16 {
    platform.settings.postgres.version.unwrap_or_else(|| source::postgres_version(host.os))
}

/// How the package makes its cluster. Checksums are no default before 18, and the built-in locale sorts the same
/// after every upgrade of the C library.
fn new_cluster() -> File {
    let content = "# Read when a cluster is made, and never again.\n\
        initdb_options = '--data-checksums --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8'\n";
    File::new(&format!("{NEW_CLUSTER}/bastide.conf"), content)
}

/// Who may log in, from where: exactly this.
fn access(platform: &Platform, host: &Host, version: u16) -> File {
    let mut lines = vec![
        "# TYPE   DATABASE  USER       ADDRESS             METHOD".to_owned(),
        "# The superuser, from this host, as the operating system's user of the same name.".to_owned(),
        "local    all       postgres                       peer".to_owned(),
        "# PgBouncer, on this host: for itself and for the application.".to_owned(),
    ];
    let rule = |role: &str, address| {
        format!("hostssl  {DATABASE:<8}  {role:<9}  {:<18}  scram-sha-256", format!("{address}/32"))
    };
    lines.extend([POOLER_ROLE, SERVING_ROLE].map(|role| rule(role, host.address)));
    lines.push("# Migrations.".to_owned());
    lines.extend(platform.hosts_with(Role::App).map(|app| rule(OWNING_ROLE, app.address)));
    lines.push(String::new());
    File::new(&format!("/etc/postgresql/{version}/main/pg_hba.conf"), lines.join("\n"))
        .owned_by("postgres", "postgres", 0o640)
}

/// The private address must be there before the server binds it, and the server needs nothing of the rest of the host.
fn drop_in() -> File {
    let content = "\
[Unit]
Wants=network-online.target
After=network-online.target

[Service]
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=full
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
";
    File::new("/etc/systemd/system/postgresql@.service.d/bastide.conf", content)
}

/// The server's settings, sized by the host's memory.
fn settings(platform: &Platform, host: &Host, version: u16) -> PostgresSettings {
    let memory = host.memory_mb;
    let megabytes = |amount: u32| format!("{amount}MB");
    let mut values: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str| values.push((name.to_owned(), value.to_owned()));

    set("listen_addresses", &host.address.to_string());
    set("max_connections", &platform.settings.postgres.max_connections.to_string());
    set("password_encryption", "scram-sha-256");
    set("ssl", "on");
    set("ssl_cert_file", &format!("{TLS_DIRECTORY}/{NAME}.pem"));
    set("ssl_key_file", &format!("{TLS_DIRECTORY}/{NAME}.key"));
    set("ssl_ca_file", AUTHORITY);
    set("ssl_min_protocol_version", "TLSv1.2");

    set("shared_buffers", &megabytes(memory / 4));
    set("effective_cache_size", &megabytes(memory / 100 * 65));
    set("work_mem", &megabytes((memory / 512).clamp(2, 64)));
    set("maintenance_work_mem", &megabytes((memory / 16).clamp(32, 1024)));
    set("random_page_cost", "1.1");
    set("jit", "off");

    set("wal_compression", "zstd");
    set("max_wal_size", &megabytes((memory / 2).clamp(1024, 8192)));
    set("max_slot_wal_keep_size", &megabytes(memory.clamp(1024, 16384)));
    set("checkpoint_timeout", "900");
    if version >= 18 {
        // io_uring fails under memlock limits and where the kernel disables it.
        set("io_method", "worker");
        set("idle_replication_slot_timeout", "1d");
    }

    set("shared_preload_libraries", "pg_stat_statements");
    set("track_io_timing", "on");
    set(SLOW_SETTING, &SLOW.as_millis().to_string());
    set("log_lock_waits", "on");
    set("log_connections", "on");
    // An application that names its transactions by `application_name` finds its request in each line.
    set("log_line_prefix", "%m [%p] %q%u@%d %h [%a] ");
    values.extend(platform.settings.postgres.extra.iter().cloned());
    PostgresSettings { version, values }
}

fn roles(context: &Context<'_>) -> Vec<Resource> {
    let pool = context.platform.settings.pgbouncer.pool_size;
    let role = |name: &str, connections: u16, settings: &[(&str, &str)]| {
        let role = PostgresRole {
            name: name.to_owned(),
            verifier: Some(context.secrets.verifier(&password_of(name))),
            member_of: vec![],
            connection_limit: i32::from(connections),
            settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        };
        Resource::new(NAME, role)
    };
    vec![
        role(
            SERVING_ROLE,
            pool + crate::pgbouncer::RESERVE,
            &[
                ("statement_timeout", "15s"),
                ("lock_timeout", "5s"),
                ("idle_in_transaction_session_timeout", "30s"),
            ],
        ),
        // Building an index may take as long as it takes; waiting for a lock queues everybody else behind it.
        role(OWNING_ROLE, 5, &[("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "60s")]),
        role(
            POOLER_ROLE,
            pool,
            &[("statement_timeout", "5s"), ("idle_in_transaction_session_timeout", "5s")],
        ),
    ]
}

/// The application's database and what is in it.
fn database() -> Vec<Resource> {
    let database = PostgresDatabase {
        name: DATABASE.to_owned(),
        owner: OWNING_ROLE.to_owned(),
        connect: vec![SERVING_ROLE.to_owned(), POOLER_ROLE.to_owned()],
    };
    // It shows everybody's statements, so it stays out of the application's sight.
    let statements =
        PostgresExtension { database: "postgres".to_owned(), name: "pg_stat_statements".to_owned() };
    vec![
        Resource::new(NAME, database),
        Resource::new(NAME, statements),
        Resource::new(NAME, public_schema()),
        Resource::new(NAME, default_privileges()),
        Resource::new(NAME, pooler_schema()),
        Resource::new(NAME, pooler_function()),
    ]
}

fn object(name: &str, state: &str, expected: &str, script: &str) -> PostgresObject {
    PostgresObject {
        name: name.to_owned(),
        database: DATABASE.to_owned(),
        state: state.to_owned(),
        expected: expected.to_owned(),
        script: script.to_owned(),
    }
}

/// The schema of the application's tables: the owner makes them, the serving role sees them, nobody else does.
fn public_schema() -> PostgresObject {
    object(
        "schema public is the application's",
        "SELECT string_agg(format('%s=%s', coalesce(r.rolname, 'PUBLIC'), a.privilege_type), ' ' \
         ORDER BY r.rolname, a.privilege_type) \
         FROM pg_namespace n, aclexplode(n.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee \
         WHERE n.nspname = 'public'",
        "app=USAGE pg_database_owner=CREATE pg_database_owner=USAGE",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC;\n\
         REVOKE ALL ON SCHEMA public FROM app;\n\
         GRANT USAGE ON SCHEMA public TO app;",
    )
}

/// What the serving role may do with a new table says the migration that makes it: some are to be added to alone.
fn default_privileges() -> PostgresObject {
    object(
        "the serving role's privileges on new tables",
        "SELECT coalesce(string_agg(format('%s:%s', d.defaclobjtype, d.defaclacl), ' ' \
         ORDER BY d.defaclobjtype::text), 'none') \
         FROM pg_default_acl d WHERE d.defaclrole = 'app_owner'::regrole",
        "none",
        "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA public REVOKE ALL ON TABLES FROM app;\n\
         ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA public REVOKE ALL ON SEQUENCES FROM app;",
    )
}

fn pooler_schema() -> PostgresObject {
    object(
        "schema pgbouncer",
        "SELECT format('%s %s', n.nspowner::regrole, n.nspacl) FROM pg_namespace n WHERE n.nspname = 'pgbouncer'",
        "postgres {postgres=UC/postgres,pgbouncer=U/postgres}",
        "CREATE SCHEMA IF NOT EXISTS pgbouncer;\n\
         ALTER SCHEMA pgbouncer OWNER TO postgres;\n\
         REVOKE ALL ON SCHEMA pgbouncer FROM PUBLIC;\n\
         GRANT USAGE ON SCHEMA pgbouncer TO pgbouncer;",
    )
}

/// Gives PgBouncer the verifier of a role that may log in now, and never that of a privileged one.
const POOLER_FUNCTION: &str = "
    SELECT rolname::text, rolpassword
    FROM pg_catalog.pg_authid
    WHERE rolname = wanted
      AND rolcanlogin
      AND NOT (rolsuper OR rolreplication OR rolbypassrls OR rolcreaterole OR rolcreatedb)
      AND rolpassword LIKE 'SCRAM-SHA-256$%'
      AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())
";

fn pooler_function() -> PostgresObject {
    let expected = format!(
        "t postgres search_path=pg_catalog, pg_temp postgres=X/postgres,pgbouncer=X/postgres {POOLER_FUNCTION}"
    );
    let script = format!(
        "CREATE OR REPLACE FUNCTION pgbouncer.get_auth(wanted text, OUT name text, OUT verifier text) \
         RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp \
         AS $body${POOLER_FUNCTION}$body$;\n\
         ALTER FUNCTION pgbouncer.get_auth(text) OWNER TO postgres;\n\
         REVOKE ALL ON FUNCTION pgbouncer.get_auth(text) FROM PUBLIC;\n\
         GRANT EXECUTE ON FUNCTION pgbouncer.get_auth(text) TO pgbouncer;"
    );
    object(
        "function pgbouncer.get_auth",
        "SELECT concat_ws(' ', p.prosecdef, p.proowner::regrole, array_to_string(p.proconfig, ','), \
         array_to_string(p.proacl, ','), p.prosrc) \
         FROM pg_proc p WHERE p.oid = to_regprocedure('pgbouncer.get_auth(text)')",
        &expected,
        &script,
    )
}
