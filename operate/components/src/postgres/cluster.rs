//! A cluster and a database, as every one of the platform's is: TLS with SCRAM, one role that owns the schema and one
//! that reads and writes rows.

use super::{SLOW, SLOW_SETTING, password_of};
use crate::authority::Wanted;
use crate::paths::{AUTHORITY, TLS_DIRECTORY};
use crate::source::{self, Software};
use crate::{ComponentError, Context};
use bastide_converge::resource::{
    Directory, File, PostgresDatabase, PostgresExtension, PostgresObject, PostgresRole, PostgresSettings,
    Resource, Unit,
};
use bastide_platform::Host;
use std::net::Ipv4Addr;

const NEW_CLUSTER: &str = "/etc/postgresql-common/createcluster.d";
/// Name of the server's certificate among those of the host.
const CERTIFICATE: &str = "postgres";

/// The one cluster of a host.
pub(crate) struct Cluster<'a> {
    /// The component whose it is.
    pub(crate) component: &'static str,
    /// Where it is.
    pub(crate) host: &'a Host,
    /// Its major version.
    pub(crate) version: u16,
    /// The one address at which it listens.
    pub(crate) address: Ipv4Addr,
    /// Who may log in beside the superuser: lines of `pg_hba.conf`.
    pub(crate) access: Vec<String>,
    /// Megabytes of memory from which its buffers are sized.
    pub(crate) memory: u32,
    /// Connections that it accepts.
    pub(crate) max_connections: u16,
    /// Settings after Bastide's own.
    pub(crate) extra: &'a [(String, String)],
}

/// A line of `pg_hba.conf`: a role is let in from one address, over TLS and by SCRAM.
pub(crate) fn rule(database: &str, role: &str, address: Ipv4Addr) -> String {
    format!("hostssl  {database:<8}  {role:<9}  {:<18}  scram-sha-256", format!("{address}/32"))
}

impl Cluster<'_> {
    /// The server with its packages, certificate, settings and unit.
    pub(crate) fn resources(&self, context: &Context<'_>) -> Result<Vec<Resource>, ComponentError> {
        let (component, host, version) = (self.component, self.host, self.version);
        let failed = |error: &dyn std::fmt::Display| ComponentError::new(component, host, error);
        let source = source::source(Software::Postgres(version), host.os).map_err(|error| failed(&error))?;
        let directory = Directory::new(NEW_CLUSTER);
        let mut resources =
            vec![Resource::new(component, directory), Resource::new(component, new_cluster())];
        resources.extend(source.resources(component));

        let mut names = vec![self.address.to_string(), host.name.to_string()];
        if self.address.is_loopback() {
            names.truncate(1);
        }
        let wanted = Wanted {
            name: CERTIFICATE,
            directory: TLS_DIRECTORY,
            names: &names,
            owner: "postgres",
            group: "postgres",
            key_mode: 0o400,
        };
        let certificate =
            context.authority.resource(component, &wanted, context.now).map_err(|error| failed(&error))?;
        let access = Resource::new(component, self.access());
        let drop_in = Resource::new(component, drop_in());
        let settings = Resource::new(component, self.settings());
        let unit = Unit::running(&format!("postgresql@{version}-main.service"))
            .restarted_by([&drop_in])
            .reloaded_by([&certificate, &access]);
        resources.extend([certificate, access, drop_in, settings]);
        resources.push(Resource::new(component, unit));
        resources.push(Resource::new(component, Unit::running("postgresql.service")));
        Ok(resources)
    }

    /// Who may log in, from where: exactly this.
    fn access(&self) -> File {
        let mut lines = vec![
            "# TYPE   DATABASE  USER       ADDRESS             METHOD".to_owned(),
            "# The superuser, from this host, as the operating system's user of the same name.".to_owned(),
            "local    all       postgres                       peer".to_owned(),
        ];
        lines.extend(self.access.iter().cloned());
        lines.push(String::new());
        File::new(&format!("/etc/postgresql/{}/main/pg_hba.conf", self.version), lines.join("\n"))
            .owned_by("postgres", "postgres", 0o640)
    }

    /// The server's settings, sized by its memory.
    fn settings(&self) -> PostgresSettings {
        let memory = self.memory;
        let megabytes = |amount: u32| format!("{amount}MB");
        let mut values: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: &str| values.push((name.to_owned(), value.to_owned()));

        set("listen_addresses", &self.address.to_string());
        set("max_connections", &self.max_connections.to_string());
        set("password_encryption", "scram-sha-256");
        set("ssl", "on");
        set("ssl_cert_file", &format!("{TLS_DIRECTORY}/{CERTIFICATE}.pem"));
        set("ssl_key_file", &format!("{TLS_DIRECTORY}/{CERTIFICATE}.key"));
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
        if self.version >= 18 {
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
        values.extend(self.extra.iter().cloned());
        PostgresSettings { version: self.version, values }
    }
}

/// How the package makes its cluster. Checksums are no default before 18, and the built-in locale sorts the same
/// after every upgrade of the C library.
fn new_cluster() -> File {
    let content = "# Read when a cluster is made, and never again.\n\
        initdb_options = '--data-checksums --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8'\n";
    File::new(&format!("{NEW_CLUSTER}/bastide.conf"), content)
}

/// The address must be there before the server binds it, and the server needs nothing of the rest of the host.
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

/// A role that logs in with its password among the operator's secrets.
pub(crate) fn role(
    component: &'static str,
    context: &Context<'_>,
    name: &str,
    connections: u16,
    settings: &[(&str, &str)],
) -> Resource {
    let role = PostgresRole {
        name: name.to_owned(),
        verifier: Some(context.secrets.verifier(&password_of(name))),
        member_of: vec![],
        connection_limit: i32::from(connections),
        settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    Resource::new(component, role)
}

/// A database that an application keeps its tables in.
pub(crate) struct Database {
    /// The component whose it is.
    pub(crate) component: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// The role that owns the schema; migrations log in as it.
    pub(crate) owner: &'static str,
    /// The role that reads and writes rows.
    pub(crate) serving: &'static str,
}

impl Database {
    /// The database and who may do what in it; `others` may connect beside its two roles.
    pub(crate) fn resources(&self, others: &[&str]) -> Vec<Resource> {
        let connect = [self.serving].into_iter().chain(others.iter().copied());
        let database = PostgresDatabase {
            name: self.name.to_owned(),
            owner: self.owner.to_owned(),
            connect: connect.map(str::to_owned).collect(),
        };
        // It shows everybody's statements, so it stays out of the application's sight.
        let statements =
            PostgresExtension { database: "postgres".to_owned(), name: "pg_stat_statements".to_owned() };
        vec![
            Resource::new(self.component, database),
            Resource::new(self.component, statements),
            Resource::new(self.component, self.public_schema()),
            Resource::new(self.component, self.default_privileges()),
        ]
    }

    fn object(&self, name: &str, state: &str, expected: &str, script: &str) -> PostgresObject {
        PostgresObject {
            name: name.to_owned(),
            database: self.name.to_owned(),
            state: state.to_owned(),
            expected: expected.to_owned(),
            script: script.to_owned(),
        }
    }

    /// The schema of the application's tables: the owner makes them, the serving role sees them, nobody else does.
    fn public_schema(&self) -> PostgresObject {
        let serving = self.serving;
        self.object(
            "schema public is the application's",
            "SELECT string_agg(format('%s=%s', coalesce(r.rolname, 'PUBLIC'), a.privilege_type), ' ' \
             ORDER BY r.rolname, a.privilege_type) \
             FROM pg_namespace n, aclexplode(n.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee \
             WHERE n.nspname = 'public'",
            &format!("{serving}=USAGE pg_database_owner=CREATE pg_database_owner=USAGE"),
            &format!(
                "REVOKE ALL ON SCHEMA public FROM PUBLIC;\n\
                 REVOKE ALL ON SCHEMA public FROM {serving};\n\
                 GRANT USAGE ON SCHEMA public TO {serving};"
            ),
        )
    }

    /// What the serving role may do with a new table says the migration that makes it: some are to be added to alone.
    fn default_privileges(&self) -> PostgresObject {
        let Self { owner, serving, .. } = self;
        self.object(
            "the serving role's privileges on new tables",
            &format!(
                "SELECT coalesce(string_agg(format('%s:%s', d.defaclobjtype, d.defaclacl), ' ' \
                 ORDER BY d.defaclobjtype::text), 'none') \
                 FROM pg_default_acl d WHERE d.defaclrole = '{owner}'::regrole"
            ),
            "none",
            &format!(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public REVOKE ALL ON TABLES FROM {serving};\n\
                 ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public REVOKE ALL ON SEQUENCES FROM {serving};"
            ),
        )
    }
}
