//! Authentik, where the platform file chooses it for the issuer: server and worker in containers, PostgreSQL of the host's
//! own, and a program that makes its settings what the platform file says.
//!
//! Its image is the vendor's, by digest. What it cannot do, or does unsafely, `bastide lint` refuses.

mod wanted;

use crate::authority::Wanted as WantedCertificate;
use crate::identity::{self, client_secret, settings};
use crate::postgres::cluster::{self, Cluster};
use crate::postgres::{self, password_of};
use crate::{Component, ComponentError, Context, Program, Secret, Step, secrets};
use bastide_converge::resource::{Command, Content, Directory, File, PostgresDatabase, Resource, Unit, User};
use bastide_platform::{Broker, Credential, Host, Platform, Role};
use bastide_verify::Check;
use std::net::Ipv4Addr;

/// Its database, and the role that owns it: Authentik migrates itself when it starts.
pub const DATABASE: &str = "authentik";

const NAME: &str = "authentik";
/// User and group of the containers, as the image has them.
const UID: u32 = 1000;
const USER: &str = "bastide-authentik";
const DIRECTORY: &str = "/etc/bastide/authentik";
const PROGRAM_DIRECTORY: &str = "/usr/local/lib/bastide";
const PROGRAM: &str = "/usr/local/lib/bastide/authentik";
const WANTED: &str = "/etc/bastide/authentik/wanted.json";
/// Where the API is, on the loopback address alone.
const API_PORT: u16 = 9001;
/// Both halves, each with the ports of its own: they share the host's network.
const HALVES: [(&str, u16, u16); 2] = [("server", API_PORT, 9300), ("worker", 9002, 9301)];

const SECRET_KEY: &str = "authentik/secret-key";
const TOKEN: &str = "authentik/token";

/// The host on which Authentik is the issuer.
pub fn host(platform: &Platform) -> Option<&Host> {
    platform.issuer_host().filter(|_| platform.settings.identity.broker == Broker::Authentik)
}

/// The component.
pub struct Authentik;

impl Component for Authentik {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Application
    }

    fn placed_on(&self, host: &Host) -> bool {
        host.has(Role::Identity)
    }

    fn resources(&self, context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
        if self::host(context.platform).is_none_or(|issuer| issuer.name != host.name) {
            // What ran here before the platform file said otherwise.
            let stopped = |(half, ..): (&str, u16, u16)| Unit::stopped(&format!("authentik@{half}.service"));
            return Ok(HALVES.map(|half| Resource::new(NAME, stopped(half))).into());
        }
        let failed = |reason: &str| ComponentError::new(NAME, host, reason);
        let image = context.platform.settings.identity.authentik.image.as_deref();
        let image = image.ok_or_else(|| failed("identity.authentik.image names no image"))?;
        let program = context.issuer.ok_or_else(|| {
            failed("the program that sets Authentik up is not at hand; build it with `cargo build -p bastide-authentik`")
        })?;
        let mut resources = vec![Resource::new(NAME, User { uid: Some(UID), ..User::of_service(USER) })];
        resources.extend(database(context, host)?);
        resources.push(Resource::new(NAME, Directory::new(PROGRAM_DIRECTORY)));
        resources.push(Resource::new(NAME, Directory::new(DIRECTORY).owned_by(USER, USER, 0o500)));
        resources.push(Resource::new(NAME, pulled(image)));

        let mut running = files(context);
        running.push(Resource::new(NAME, template(image)));
        resources.extend(running.iter().cloned());
        for (half, http, metrics) in HALVES {
            let environment = Resource::new(NAME, environment(context, host, (half, http, metrics)));
            let unit = Unit::running(&format!("authentik@{half}.service"));
            let unit = unit.restarted_by(running.iter().chain([&environment]));
            resources.extend([environment, Resource::new(NAME, unit)]);
        }
        resources.extend(set_up(context, host, program)?);
        Ok(resources)
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        if host(context.platform).is_none() {
            return vec![];
        }
        let client = context.platform.signs_in_at_own_issuer().then(|| {
            let redirect = format!("{}/sign-in/callback", context.platform.url());
            identity::checks::issuer::Asking {
                client_id: bastide_platform::APP_CLIENT.to_owned(),
                redirect_uri: redirect,
            }
        });
        let issuer = context.platform.app_issuer();
        let expected = identity::checks::issuer::Expected { issuer, algorithm: "ES256", client };
        identity::checks::issuer::checks(context.platform, NAME, expected)
    }
}

/// PostgreSQL on this host, reached by this host alone.
fn database(context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
    let cluster = Cluster {
        component: NAME,
        host,
        version: crate::source::postgres_version(host.os),
        address: Ipv4Addr::LOCALHOST,
        access: vec!["# Authentik.".to_owned(), cluster::rule(DATABASE, DATABASE, Ipv4Addr::LOCALHOST)],
        memory: host.memory_mb / 4,
        max_connections: 100,
        extra: &[],
    };
    let mut resources = cluster.resources(context)?;
    resources.push(cluster::role(NAME, context, DATABASE, 80, &[("lock_timeout", "30s")]));
    let database = PostgresDatabase {
        name: DATABASE.to_owned(),
        owner: DATABASE.to_owned(),
        connect: vec![DATABASE.to_owned()],
    };
    resources.push(Resource::new(NAME, database));
    Ok(resources)
}

/// The image, which the host fetches itself and knows by its digest.
fn pulled(image: &str) -> Command {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Command {
        name: "Authentik's image".to_owned(),
        unless: words(&["docker", "image", "inspect", "--format", "{{.Id}}", image]),
        run: words(&["docker", "pull", "--quiet", image]),
    }
}

fn secret_file(name: &str, secret: &Secret) -> Resource {
    let file = File::new(&format!("{DIRECTORY}/{name}"), secret.reveal()).owned_by(USER, USER, 0o400);
    Resource::new(NAME, file.sensitive())
}

/// What the containers read.
fn files(context: &Context<'_>) -> Vec<Resource> {
    let authority = File::new(&format!("{DIRECTORY}/authority.pem"), context.authority.trust_bundle());
    vec![
        Resource::new(NAME, authority),
        secret_file("secret-key", &secret_key(context)),
        secret_file("database.password", &context.secrets.password(&password_of(DATABASE))),
    ]
}

/// Fifty characters or more, as Authentik wants it.
fn secret_key(context: &Context<'_>) -> Secret {
    let half = |number: u8| context.secrets.password(&format!("{SECRET_KEY}/{number}"));
    Secret::new(format!("{}{}", half(1).reveal(), half(2).reveal()))
}

/// What a half is told. The token is read by the worker's first start alone, which takes it from nowhere else.
fn environment(context: &Context<'_>, host: &Host, (half, http, metrics): (&str, u16, u16)) -> File {
    let loopback = Ipv4Addr::LOCALHOST;
    let https = if half == "server" {
        format!("{}:{}", host.address, identity::PORT)
    } else {
        format!("{loopback}:9443")
    };
    let edges: Vec<String> =
        context.platform.hosts_with(Role::Edge).map(|edge| format!("{}/32", edge.address)).collect();
    let mut lines = vec![
        format!("AUTHENTIK_POSTGRESQL__HOST={loopback}"),
        format!("AUTHENTIK_POSTGRESQL__PORT={}", postgres::PORT),
        format!("AUTHENTIK_POSTGRESQL__NAME={DATABASE}"),
        format!("AUTHENTIK_POSTGRESQL__USER={DATABASE}"),
        format!("AUTHENTIK_POSTGRESQL__PASSWORD=file://{DIRECTORY}/database.password"),
        "AUTHENTIK_POSTGRESQL__SSLMODE=verify-full".to_owned(),
        format!("AUTHENTIK_POSTGRESQL__SSLROOTCERT={DIRECTORY}/authority.pem"),
        format!("AUTHENTIK_SECRET_KEY=file://{DIRECTORY}/secret-key"),
        format!("AUTHENTIK_LISTEN__HTTP={loopback}:{http}"),
        format!("AUTHENTIK_LISTEN__HTTPS={https}"),
        format!("AUTHENTIK_LISTEN__METRICS={loopback}:{metrics}"),
        format!("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS={loopback}/32,{}", edges.join(",")),
        "AUTHENTIK_ERROR_REPORTING__ENABLED=false".to_owned(),
        "AUTHENTIK_DISABLE_UPDATE_CHECK=true".to_owned(),
        "AUTHENTIK_DISABLE_STARTUP_ANALYTICS=true".to_owned(),
    ];
    if half == "worker" {
        lines.push(format!("AUTHENTIK_BOOTSTRAP_TOKEN={}", context.secrets.password(TOKEN).reveal()));
    }
    let path = format!("/etc/bastide/authentik-{half}.env");
    File::new(&path, lines.join("\n") + "\n").owned_by("root", "root", 0o600).sensitive()
}

fn template(image: &str) -> File {
    let content = format!(
        "\
[Unit]
Description=Authentik, %i
Requires=docker.service
After=docker.service network-online.target postgresql.service
Wants=network-online.target postgresql.service
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStartPre=-/usr/bin/docker rm --force authentik-%i
ExecStart=/usr/bin/docker run --rm --name authentik-%i --network host --pull never --cap-drop ALL \
--security-opt no-new-privileges --user {UID}:{UID} --tmpfs /tmp:nosuid,nodev --memory 2g --pids-limit 512 --log-driver none \
--env-file /etc/bastide/authentik-%i.env --volume {DIRECTORY}:{DIRECTORY}:ro {image} %i
ExecStop=/usr/bin/docker stop --time 20 authentik-%i
Restart=always
RestartSec=2
TimeoutStopSec=30
SyslogIdentifier=authentik-%i
Environment=DOCKER_CONFIG=/nonexistent
CapabilityBoundingSet=
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_UNIX
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
"
    );
    File::new("/etc/systemd/system/authentik@.service", content)
}

/// The program that sets Authentik up, with what it is to make of it.
fn set_up(context: &Context<'_>, host: &Host, program: &Program) -> Result<Vec<Resource>, ComponentError> {
    let failed = |error: &dyn std::fmt::Display| ComponentError::new(NAME, host, error);
    let platform = context.platform;
    let root = |name: &str, secret: &Secret| {
        let file = File::new(&format!("{DIRECTORY}/{name}"), secret.reveal()).owned_by("root", "root", 0o400);
        Resource::new(NAME, file.sensitive())
    };
    let binary = File::new(PROGRAM, "").owned_by("root", "root", 0o755);
    let binary = File { content: Content::Blob(program.sha256.clone()), ..binary };
    // The edge asks for the issuer's name, so that its brand's certificate is the one that is shown.
    let certificate = WantedCertificate {
        name: "tls",
        directory: DIRECTORY,
        names: &[platform.issuer_domain(), host.address.to_string()],
        owner: "root",
        group: "root",
        key_mode: 0o400,
    };
    let certificate =
        context.authority.resource(NAME, &certificate, context.now).map_err(|error| failed(&error))?;
    let mut resources = vec![Resource::new(NAME, binary), certificate];
    resources.push(root("token", &context.secrets.password(TOKEN)));
    for client in settings::clients(platform) {
        resources.push(root(
            &settings::secret_of(&client.id),
            &context.secrets.password(&client_secret(&client.id)),
        ));
    }
    for login in &platform.settings.identity.providers {
        let name = settings::credential_of(login.provider.as_str(), "secret");
        let secret = match &login.credential {
            Credential::Secret { file, .. } => secrets::written_by_operator(&platform.resolve(file)),
            Credential::SigningKey { file, .. } => secrets::document_of_operator(&platform.resolve(file)),
            Credential::Lab => {
                return Err(failed(&"the lab's login providers know Bastide's own broker alone"));
            }
            Credential::Certificate { .. } => {
                return Err(failed(&"Authentik cannot prove itself to Microsoft by certificate"));
            }
        };
        resources.push(root(&name, &secret.map_err(|error| failed(&error))?));
    }
    let wanted = File::new(WANTED, wanted::render(platform)).owned_by("root", "root", 0o400);
    resources.push(Resource::new(NAME, wanted));
    let words = |verb: &str| [PROGRAM, verb, WANTED].map(str::to_owned).to_vec();
    let set_up =
        Command { name: "Authentik's settings".to_owned(), unless: words("check"), run: words("apply") };
    resources.push(Resource::new(NAME, set_up));
    Ok(resources)
}

/// Names of the secrets that can be given a new value: Authentik reads its token once, and its key opens what it keeps.
pub(crate) fn secret_names(platform: &Platform) -> Vec<String> {
    if host(platform).is_none() {
        return Vec::new();
    }
    let clients = settings::clients(platform).map(|client| client_secret(&client.id));
    [password_of(DATABASE)].into_iter().chain(clients).collect()
}
