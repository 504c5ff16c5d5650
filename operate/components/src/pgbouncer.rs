//! PgBouncer: many clients on few server connections, with TLS verified on both sides of it.
//!
//! It runs as a user of its own. Its package runs it as `postgres`, whom PostgreSQL on the same host takes for the
//! superuser.

mod checks;

use crate::authority::Wanted;
use crate::paths::{self, AUTHORITY, TLS_DIRECTORY};
use crate::postgres::{self, DATABASE, POOLER_QUERY, POOLER_ROLE, SERVING_ROLE};
use crate::source::{self, Software};
use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{Directory, File, Resource, Unit, User};
use bastide_platform::{Endpoint, Flow, Host, Platform, Port, Role};
use bastide_verify::Check;

/// Port of the pooler.
pub const PORT: u16 = 6432;
/// Server connections beyond the pool's size, opened when clients have waited.
pub const RESERVE: u16 = 5;
/// Operating system's user that it runs as, and the user of its administration console.
pub const USER: &str = "pgbouncer";
/// Directory of its socket; the console is reached there and nowhere else.
pub const SOCKET_DIRECTORY: &str = "/run/pgbouncer";

const NAME: &str = "pgbouncer";

/// The component.
pub struct PgBouncer;

impl Component for PgBouncer {
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
        vec![Flow::new(from, Endpoint::Role(Role::Db), Port::tcp(PORT), "PostgreSQL through PgBouncer")]
    }

    fn resources(&self, context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
        let failed = |error: &dyn std::fmt::Display| ComponentError::new(NAME, host, error);
        let source = source::source(Software::PgBouncer, host.os).map_err(|error| failed(&error))?;
        let mut resources = source.resources(NAME);
        resources.push(Resource::new(NAME, User::of_service(USER)));
        let directory = Directory::new("/etc/pgbouncer").owned_by("root", USER, 0o750);
        resources.push(Resource::new(NAME, directory));

        let wanted = Wanted {
            name: NAME,
            directory: TLS_DIRECTORY,
            names: &[host.address.to_string(), host.name.to_string()],
            owner: USER,
            group: USER,
            key_mode: 0o400,
        };
        let certificate =
            context.authority.resource(NAME, &wanted, context.now).map_err(|error| failed(&error))?;
        let configuration = Resource::new(NAME, configuration(context.platform, host));
        let access = Resource::new(NAME, access(context.platform));
        let users = Resource::new(NAME, users(context));
        let drop_in = Resource::new(NAME, drop_in(context.platform));
        let unit = Unit::running("pgbouncer.service").restarted_by([&configuration, &drop_in]);
        let mut unit = unit.reloaded_by([&certificate, &access, &users]);
        unit.reload_on.push(paths::file(AUTHORITY));
        resources.extend([certificate, configuration, access, users, drop_in, Resource::new(NAME, unit)]);
        Ok(resources)
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        checks::checks(context)
    }
}

fn file(name: &str, content: String) -> File {
    File::new(&format!("/etc/pgbouncer/{name}"), content).owned_by("root", USER, 0o640)
}

fn configuration(platform: &Platform, host: &Host) -> File {
    let settings = &platform.settings.pgbouncer;
    let content = format!(
        "\
[databases]
{DATABASE} = host={address} port={postgres} dbname={DATABASE}

[pgbouncer]
listen_addr = {address}
listen_port = {PORT}
unix_socket_dir = {SOCKET_DIRECTORY}
pidfile = {SOCKET_DIRECTORY}/pgbouncer.pid

; Who may log in is in hba.conf; whether the password is right, PostgreSQL's own verifier says.
auth_type = hba
auth_hba_file = /etc/pgbouncer/hba.conf
auth_file = /etc/pgbouncer/userlist.txt
auth_user = {POOLER_ROLE}
auth_query = {POOLER_QUERY}
admin_users = {USER}

client_tls_sslmode = require
client_tls_cert_file = {TLS_DIRECTORY}/{NAME}.pem
client_tls_key_file = {TLS_DIRECTORY}/{NAME}.key
client_tls_ca_file = {AUTHORITY}
client_tls_protocols = secure
server_tls_sslmode = verify-full
server_tls_ca_file = {AUTHORITY}
server_tls_protocols = secure

pool_mode = {mode}
max_prepared_statements = {prepared}
default_pool_size = {pool}
reserve_pool_size = {RESERVE}
reserve_pool_timeout = 2
max_client_conn = {clients}
ignore_startup_parameters = extra_float_digits, options

; A client is told soon that the database is away, and a connection comes back soon after the database.
query_wait_timeout = 10
client_login_timeout = 30
server_connect_timeout = 5
server_login_retry = 1
idle_transaction_timeout = 60
tcp_keepidle = 30
tcp_keepintvl = 10
tcp_keepcnt = 3
",
        address = host.address,
        postgres = postgres::PORT,
        mode = settings.pool_mode.as_str(),
        prepared = settings.max_prepared_statements,
        pool = settings.pool_size,
        clients = settings.max_clients,
    );
    file("pgbouncer.ini", content)
}

/// Who may log in, from where: exactly this. The roles that migrate or administer never pass here.
fn access(platform: &Platform) -> File {
    let mut content = format!(
        "# TYPE   DATABASE   USER       ADDRESS             METHOD\n\
         local    pgbouncer  {USER:<9}                      peer\n"
    );
    for app in platform.hosts_with(Role::App) {
        let address = format!("{}/32", app.address);
        content += &format!("hostssl  {DATABASE:<9}  {SERVING_ROLE:<9}  {address:<18}  scram-sha-256\n");
    }
    file("hba.conf", content)
}

/// The one password that PgBouncer holds: that of the role which can only ask for verifiers.
fn users(context: &Context<'_>) -> File {
    let password = context.secrets.password(&postgres::password_of(POOLER_ROLE));
    file("userlist.txt", format!("\"{POOLER_ROLE}\" \"{}\"\n", password.reveal())).sensitive()
}

fn drop_in(platform: &Platform) -> File {
    let settings = &platform.settings.pgbouncer;
    let descriptors = u32::from(settings.max_clients) + u32::from(settings.pool_size) + 1024;
    let content = format!(
        "\
[Unit]
Wants=network-online.target
After=network-online.target postgresql.service

[Service]
User={USER}
Group={USER}
RuntimeDirectory=pgbouncer
LimitNOFILE={descriptors}
Restart=on-failure
RestartSec=1
CapabilityBoundingSet=
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
"
    );
    File::new("/etc/systemd/system/pgbouncer.service.d/bastide.conf", content)
}
