//! The issuer: one static binary under systemd, with a PostgreSQL cluster of its own on its host.
//!
//! The cluster listens on the loopback address alone, so nobody but this host reaches it. What is secret lies in files of
//! root's, and systemd hands it to the process: the one that serves never sees the password that migrates.

pub(crate) mod checks;
mod credentials;
pub(crate) mod settings;
mod units;

use crate::app::environment::mail_server;
use crate::authority::Wanted;
use crate::caddy::read_pem;
use crate::postgres::cluster::{self, Cluster, Database};
use crate::postgres::{self, password_of};
use crate::{Component, ComponentError, Context, Step, source};
use bastide_converge::resource::{Content, Directory, File, Packages, Resource, Unit, User};
use bastide_platform::{Broker, Endpoint, Flow, Host, Platform, Port, Role};
use bastide_verify::Check;
use credentials::Credentials;
use std::net::Ipv4Addr;

/// Port of the issuer.
pub const PORT: u16 = 9000;
/// Port of its metrics.
pub const METRICS_PORT: u16 = 9466;
/// Its database.
pub const DATABASE: &str = "identity";
/// The role with which it reads and writes rows.
pub const SERVING_ROLE: &str = "identity";
/// The role that owns the schema; migrations log in as it.
pub const OWNING_ROLE: &str = "identity_owner";
/// Its unit.
pub const UNIT: &str = "identity.service";
/// Runs one of its commands on the host, confined and configured as the unit is.
pub const OPERATOR_PROGRAM: &str = "/usr/local/sbin/bastide-identity";

const NAME: &str = "identity";
const USER: &str = "bastide-identity";
const PROGRAM_DIRECTORY: &str = "/usr/local/lib/bastide";
const PROGRAM: &str = "/usr/local/lib/bastide/identity";
/// What systemd hands over, root's alone.
const DIRECTORY: &str = "/etc/bastide/identity";
const ENVIRONMENT: &str = "/etc/bastide/identity.env";
const MIGRATION_ENVIRONMENT: &str = "/etc/bastide/identity-migrate.env";
/// Clients and login providers, without what is secret of them.
const SETTINGS: &str = "/etc/bastide/identity.toml";
const MIGRATION_UNIT: &str = "identity-migrate.service";
/// Connections that the process may hold.
const CONNECTIONS: u16 = 32;

/// Guards forms.
const SECRET_KEY: &str = "identity/secret-key";
/// Seals tokens and signing keys in the database.
pub(crate) const SEALING_KEY: &str = "identity/sealing-key";

/// Name of a client's secret among the operator's secrets.
pub fn client_secret(client: &str) -> String {
    format!("identity/client/{client}")
}

/// The host on which Bastide's own broker is the issuer.
pub fn host(platform: &Platform) -> Option<&Host> {
    platform.issuer_host().filter(|_| platform.settings.identity.broker == Broker::Bastide)
}

/// The component.
pub struct Identity;

impl Component for Identity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Application
    }

    fn placed_on(&self, host: &Host) -> bool {
        host.has(Role::Identity)
    }

    fn flows(&self, platform: &Platform) -> Vec<Flow> {
        let (edge, identity) = (Endpoint::Role(Role::Edge), Endpoint::Role(Role::Identity));
        let flow = |_: &Host| Flow::new(edge, identity, Port::tcp(PORT), "the issuer");
        platform.issuer_host().map(flow).into_iter().collect()
    }

    fn resources(&self, context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
        if self::host(context.platform).is_none_or(|issuer| issuer.name != host.name) {
            // What ran here before the platform file said otherwise.
            return Ok(vec![Resource::new(NAME, Unit::stopped(UNIT))]);
        }
        let program = context.issuer.ok_or_else(|| {
            ComponentError::new(
                NAME,
                host,
                "the issuer's program is not at hand; build it with `cargo build -p identity`",
            )
        })?;
        let mut resources = vec![Resource::new(NAME, User::of_service(USER))];
        // To ask from the host itself, as the application's host can.
        let curl = Packages { names: vec!["curl".to_owned()], release: None, at_least: None };
        resources.push(Resource::new(NAME, curl));
        resources.extend(database(context, host)?);
        resources.push(Resource::new(NAME, Directory::new(PROGRAM_DIRECTORY)));
        // The process passes through it to the keys that seal; everything else in it is root's.
        resources.push(Resource::new(NAME, Directory::new(DIRECTORY).owned_by("root", USER, 0o710)));

        let binary = File::new(PROGRAM, "").owned_by("root", "root", 0o755);
        let binary = File { content: Content::Blob(program.sha256.clone()), ..binary };
        let credentials = Credentials::of(context, host)?;
        let mut serving = vec![Resource::new(NAME, binary.clone()), certificate(context, host)?];
        serving.extend(credentials.files(NAME));
        serving.push(Resource::new(NAME, File::new(SETTINGS, settings::render(context.platform))));
        serving.push(Resource::new(NAME, environment(context, host)));
        serving.push(Resource::new(NAME, units::serving(&credentials)));

        let mut migrating = vec![Resource::new(NAME, binary)];
        migrating.extend(credentials::of_migration(context, NAME));
        migrating.push(Resource::new(NAME, migration_environment()));
        migrating.push(Resource::new(NAME, units::migrating()));
        let migrate = Unit::running(MIGRATION_UNIT).restarted_by(&migrating);
        let serve = Unit::running(UNIT).restarted_by(&serving);

        // No restart: the process follows it.
        resources.push(credentials::sealing_keys(context));
        resources.extend(serving);
        resources.extend(migrating.into_iter().skip(1));
        resources.push(Resource::new(NAME, credentials.nothing_else()));
        resources.push(Resource::new(NAME, units::operator()));
        resources.extend([Resource::new(NAME, migrate), Resource::new(NAME, serve)]);
        Ok(resources)
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        checks::checks(context)
    }
}

/// The cluster, its roles and its database.
fn database(context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
    let rule = |role| cluster::rule(DATABASE, role, Ipv4Addr::LOCALHOST);
    let cluster = Cluster {
        component: NAME,
        host,
        version: version(host),
        address: Ipv4Addr::LOCALHOST,
        access: vec!["# The issuer, and its migrations.".to_owned(), rule(SERVING_ROLE), rule(OWNING_ROLE)],
        // The rest is the issuer's, and monitoring's.
        memory: host.memory_mb / 2,
        max_connections: 64,
        extra: &[],
    };
    let mut resources = cluster.resources(context)?;
    let serving = [
        ("statement_timeout", "15s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "30s"),
    ];
    resources.push(cluster::role(NAME, context, SERVING_ROLE, CONNECTIONS, &serving));
    let owning = [("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "60s")];
    resources.push(cluster::role(NAME, context, OWNING_ROLE, 5, &owning));
    let database = Database { component: NAME, name: DATABASE, owner: OWNING_ROLE, serving: SERVING_ROLE };
    resources.extend(database.resources(&[]));
    Ok(resources)
}

/// Major version of the cluster: what the host's package source has.
fn version(host: &Host) -> u16 {
    source::postgres_version(host.os)
}

/// With which the issuer is known on the private network.
fn certificate(context: &Context<'_>, host: &Host) -> Result<Resource, ComponentError> {
    let wanted = Wanted {
        name: "tls",
        directory: DIRECTORY,
        names: &[host.address.to_string(), host.name.to_string()],
        owner: "root",
        group: "root",
        key_mode: 0o400,
    };
    let resource = context.authority.resource(NAME, &wanted, context.now);
    resource.map_err(|error| ComponentError::new(NAME, host, error))
}

fn url(role: &str) -> String {
    format!("postgres://{role}@{}:{}/{DATABASE}", Ipv4Addr::LOCALHOST, postgres::PORT)
}

/// What the process that serves is told.
fn environment(context: &Context<'_>, host: &Host) -> File {
    let platform = context.platform;
    let handed = |name: &str| credentials::handed(UNIT, name);
    let edges: Vec<String> = platform.hosts_with(Role::Edge).map(|edge| edge.address.to_string()).collect();
    let mut lines = vec![
        format!("BIND_ADDRESS={}", host.address),
        format!("PORT={PORT}"),
        format!("METRICS_PORT={METRICS_PORT}"),
        format!("PUBLIC_URL={}", platform.issuer_url()),
        format!("TRUSTED_PROXIES={}", edges.join(",")),
        format!("RELEASE={}", context.issuer.map(crate::Program::release).unwrap_or_default()),
        format!("DATABASE_URL={}", url(SERVING_ROLE)),
        format!("DATABASE_PASSWORD_FILE={}", handed(credentials::DATABASE)),
        format!("PRIVATE_CA_FILE={}", handed(credentials::AUTHORITY)),
        format!("TLS_CERT_FILE={}", handed("tls.pem")),
        format!("TLS_KEY_FILE={}", handed("tls.key")),
        format!("SECRET_KEY_FILE={}", handed(credentials::SECRET_KEY)),
        format!("SEALING_KEYS_FILE={}", credentials::sealing_keys_file()),
        format!("IDENTITY_FILE={SETTINGS}"),
    ];
    let app = &platform.settings.app;
    if app.extra_authority.is_some() {
        lines.push(format!("EXTRA_CA_FILE={}", handed(credentials::EXTRA_AUTHORITY)));
    }
    if let Some(mail) = &app.mail {
        lines.extend(mail_server(mail, &handed(credentials::MAIL)));
    }
    if let Some(tracker) = &app.error_tracker {
        lines.push(format!("SENTRY_DSN={tracker}"));
    }
    File::new(ENVIRONMENT, lines.join("\n") + "\n").owned_by("root", "root", 0o600)
}

/// What the process that migrates is told.
fn migration_environment() -> File {
    let handed = |name: &str| credentials::handed(MIGRATION_UNIT, name);
    let content = format!(
        "DATABASE_URL={serving}\n\
         DATABASE_DIRECT_URL={owning}\n\
         DATABASE_DIRECT_PASSWORD_FILE={password}\n\
         PRIVATE_CA_FILE={authority}\n",
        serving = url(SERVING_ROLE),
        owning = url(OWNING_ROLE),
        password = handed(credentials::OWNER),
        authority = handed(credentials::AUTHORITY),
    );
    File::new(MIGRATION_ENVIRONMENT, content).owned_by("root", "root", 0o600)
}

/// Names of the secrets that [`crate::Secrets`] keeps for the issuer and its clients.
pub(crate) fn secret_names(platform: &Platform) -> Vec<String> {
    if host(platform).is_none() {
        return Vec::new();
    }
    let fixed = [SECRET_KEY, SEALING_KEY].map(str::to_owned).into_iter();
    let roles = [SERVING_ROLE, OWNING_ROLE].map(password_of).into_iter();
    let clients = settings::clients(platform).filter(|client| client.keys_file.is_none());
    fixed.chain(roles).chain(clients.map(|client| client_secret(&client.id))).collect()
}

/// Reads a certificate that the platform file names, for the issuer.
fn certificate_file(
    context: &Context<'_>,
    host: &Host,
    path: &std::path::Path,
) -> Result<String, ComponentError> {
    read_pem(NAME, context.platform, host, path)
}
