//! PostgreSQL: the platform's record of everything that matters.
//!
//! It listens on the private address alone, accepts TLS with SCRAM and nothing else, and knows three roles: the
//! application's (through PgBouncer), the schema's owner (migrations, directly) and PgBouncer's own.

mod checks;
pub(crate) mod cluster;
pub(crate) mod login;

use crate::source;
use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{PostgresObject, Resource};
use bastide_platform::{Endpoint, Flow, Host, Platform, Port, Role};
use bastide_verify::Check;
use cluster::{Cluster, Database};
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

/// Name of a role's password among the operator's secrets.
pub fn password_of(role: &str) -> String {
    format!("postgres/{role}")
}

/// Names of the passwords of its roles.
pub(crate) fn secret_names() -> Vec<String> {
    [SERVING_ROLE, OWNING_ROLE, POOLER_ROLE].map(password_of).into()
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
        let cluster = Cluster {
            component: NAME,
            host,
            version: version(context.platform, host),
            address: host.address,
            access: access(context.platform, host),
            memory: host.memory_mb,
            max_connections: context.platform.settings.postgres.max_connections,
            extra: &context.platform.settings.postgres.extra,
        };
        let mut resources = cluster.resources(context)?;
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

/// Who may log in beside the superuser, from where: exactly this.
fn access(platform: &Platform, host: &Host) -> Vec<String> {
    let mut lines = vec!["# PgBouncer, on this host: for itself and for the application.".to_owned()];
    let rule = |role: &str, address| cluster::rule(DATABASE, role, address);
    lines.extend([POOLER_ROLE, SERVING_ROLE].map(|role| rule(role, host.address)));
    lines.push("# Migrations.".to_owned());
    lines.extend(platform.hosts_with(Role::App).map(|app| rule(OWNING_ROLE, app.address)));
    lines
}

fn roles(context: &Context<'_>) -> Vec<Resource> {
    let pool = context.platform.settings.pgbouncer.pool_size;
    let role = |name: &str, connections: u16, settings: &[(&str, &str)]| {
        cluster::role(NAME, context, name, connections, settings)
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
    let database = Database { component: NAME, name: DATABASE, owner: OWNING_ROLE, serving: SERVING_ROLE };
    let mut resources = database.resources(&[POOLER_ROLE]);
    resources.push(Resource::new(NAME, pooler_schema()));
    resources.push(Resource::new(NAME, pooler_function()));
    resources
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
