//! The application: one container of its image, in one of two slots, with what the contract gives it.
//!
//! `blue` and `green` are two instances of one unit on two ports. One of them runs; a deploy starts the other, and
//! Caddy follows. The container that serves never sees the password that migrates.

mod checks;

use crate::authority::Wanted;
use crate::postgres::{self, DATABASE, OWNING_ROLE, SERVING_ROLE};
use crate::valkey::{self, Instance};
use crate::{Component, ComponentError, Context, Step, pgbouncer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bastide_converge::resource::{
    ContainerImage, Directory, File, Packages, Resource, Slot, Slots, Unit, User,
};
use bastide_platform::{ContainerNetwork, Endpoint, Flow, Host, Platform, Port, Role};
use bastide_verify::Check;

/// The slots: name, port of the application, port of its metrics.
pub const SLOTS: [(&str, u16, u16); 2] = [("blue", 8080, 9464), ("green", 8081, 9465)];
/// User and group that the container runs as, on the host and in the container.
pub const UID: u32 = 10_001;
/// Certificate and passwords of the container that serves.
pub const DIRECTORY: &str = "/etc/bastide/app";

/// Signs the application's cursors and guards its forms.
const SECRET_KEY: &str = "app/secret-key";
/// Seals what the application keeps secret in its database.
const SEALING_KEY: &str = "app/sealing-key";

const NAME: &str = "app";
const USER: &str = "bastide-app";
/// Password of the role that migrates; the container that serves does not see it.
const MIGRATION_DIRECTORY: &str = "/etc/bastide/app-migrate";
const ENVIRONMENT: &str = "/etc/bastide/app.env";
const MIGRATION_ENVIRONMENT: &str = "/etc/bastide/app-migrate.env";

/// The component.
pub struct App;

impl Component for App {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Application
    }

    fn placed_on(&self, host: &Host) -> bool {
        host.has(Role::App)
    }

    fn flows(&self, _platform: &Platform) -> Vec<Flow> {
        let (edge, app) = (Endpoint::Role(Role::Edge), Endpoint::Role(Role::App));
        let flow = |(slot, port, _): (&str, u16, u16)| {
            Flow::new(edge.clone(), app.clone(), Port::tcp(port), &format!("the application, {slot}"))
        };
        SLOTS.map(flow).into()
    }

    fn resources(&self, context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
        let failed = |error: &dyn std::fmt::Display| ComponentError::new(NAME, host, error);
        if context.platform.settings.app.network != ContainerNetwork::Host {
            let reason = "the container must share the host's network, where the firewall holds for it; \
                          set app.network = \"host\"";
            return Err(failed(&reason));
        }
        let image = ContainerImage {
            reference: context.app_image.reference.clone(),
            id: context.app_image.id.clone(),
            // The engine is told to use its own store.
            manifest: String::new(),
            archive: context.app_image.archive.clone(),
        };
        let wanted = Wanted {
            name: "tls",
            directory: DIRECTORY,
            names: &[host.address.to_string(), host.name.to_string()],
            owner: USER,
            group: USER,
            key_mode: 0o400,
        };
        let image = Resource::new(NAME, image);
        let curl = Packages { names: vec!["curl".to_owned()], release: None, at_least: None };
        let mut resources = vec![Resource::new(NAME, user()), Resource::new(NAME, curl)];
        for path in [DIRECTORY, MIGRATION_DIRECTORY] {
            // The container knows the user by its number alone, and no group of the host.
            let (path, owner) = (path.to_owned(), USER.to_owned());
            resources.push(Resource::new(NAME, Directory { path, owner, group: USER.into(), mode: 0o500 }));
        }
        let mut serving = vec![image.clone()];
        serving.push(context.authority.resource(NAME, &wanted, context.now).map_err(|error| failed(&error))?);
        serving.push(Resource::new(NAME, authority(context, DIRECTORY)));
        serving.push(password(context, DIRECTORY, "database", &postgres::password_of(SERVING_ROLE)));
        serving.push(password(context, DIRECTORY, "secret-key", SECRET_KEY));
        serving.push(sealing_keys(context));
        for instance in Instance::BOTH {
            let secret = instance.password_of(valkey::APP_USER);
            serving.push(password(context, DIRECTORY, &format!("valkey-{}", instance.name()), &secret));
        }
        serving.push(Resource::new(NAME, environment(context, host)?));
        serving.extend(SLOTS.map(|(slot, port, metrics)| {
            let content = format!("PORT={port}\nMETRICS_PORT={metrics}\n");
            Resource::new(NAME, File::new(&format!("/etc/bastide/app-{slot}.env"), content))
        }));
        serving.push(Resource::new(NAME, template(context)));

        let migrating = vec![
            image,
            Resource::new(NAME, authority(context, MIGRATION_DIRECTORY)),
            password(context, MIGRATION_DIRECTORY, "database-direct", &postgres::password_of(OWNING_ROLE)),
            Resource::new(NAME, migration_environment(context, host)?),
            Resource::new(NAME, migration(context)),
        ];
        let migrate = Unit::running("app-migrate.service").restarted_by(&migrating);
        let slots = Slots {
            template: NAME.to_owned(),
            slots: SLOTS
                .map(|(slot, port, _)| Slot { name: slot.to_owned(), ready: ready(host, port) })
                .into(),
            restart_on: serving.iter().map(Resource::id).collect(),
        };
        resources.extend(serving);
        resources.extend(migrating.into_iter().skip(1));
        resources.extend([Resource::new(NAME, migrate), Resource::new(NAME, slots)]);
        Ok(resources)
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        checks::checks(context)
    }
}

fn user() -> User {
    User {
        name: USER.to_owned(),
        system: true,
        uid: Some(UID),
        home: "/nonexistent".to_owned(),
        shell: "/usr/sbin/nologin".to_owned(),
        groups: vec![],
        authorized_keys: None,
    }
}

/// Asks the application on `port` what Caddy asks it: the contract's own word for being able to serve.
fn ready(host: &Host, port: u16) -> Vec<String> {
    let authority = format!("{DIRECTORY}/authority.pem");
    let url = format!("https://{}:{port}/readyz", host.address);
    ["curl", "--silent", "--show-error", "--fail", "--max-time", "5", "--cacert", &authority, &url]
        .map(str::to_owned)
        .into()
}

/// The authority's certificates, in a directory that containers mount: a mounted file would stay the old one when it is
/// replaced.
fn authority(context: &Context<'_>, directory: &str) -> File {
    File::new(&format!("{directory}/authority.pem"), context.authority.trust_bundle())
}

fn password(context: &Context<'_>, directory: &str, name: &str, secret: &str) -> Resource {
    let content = format!("{}\n", context.secrets.password(secret).reveal());
    let file = File::new(&format!("{directory}/{name}.password"), content).owned_by(USER, USER, 0o400);
    Resource::new(NAME, file.sensitive())
}

/// One key, `id:base64 of 32 bytes`, as the application reads them.
fn sealing_keys(context: &Context<'_>) -> Resource {
    let key = context.secrets.password(SEALING_KEY);
    let content = format!("1:{}\n", STANDARD.encode(key.reveal()));
    let file = File::new(&format!("{DIRECTORY}/sealing-keys"), content).owned_by(USER, USER, 0o400);
    Resource::new(NAME, file.sensitive())
}

/// Address of the first host that holds `role`.
fn first(platform: &Platform, role: Role, host: &Host) -> Result<std::net::Ipv4Addr, ComponentError> {
    let reason = format!("the application needs a host with the role {role}, and the platform has none");
    let found = platform.hosts_with(role).next();
    Ok(found.ok_or_else(|| ComponentError::new(NAME, host, &reason))?.address)
}

/// What both containers know: a container that serves lets the other one know its role by the URL.
fn database_url(context: &Context<'_>, host: &Host) -> Result<String, ComponentError> {
    let db = first(context.platform, Role::Db, host)?;
    Ok(format!("postgres://{SERVING_ROLE}@{db}:{}/{DATABASE}", pgbouncer::PORT))
}

/// What the container that serves is told, beside its slot's ports.
fn environment(context: &Context<'_>, host: &Host) -> Result<File, ComponentError> {
    let platform = context.platform;
    let cache = first(platform, Role::Cache, host)?;
    let edges: Vec<String> = platform.hosts_with(Role::Edge).map(|edge| edge.address.to_string()).collect();
    let mut lines = vec![
        format!("BIND_ADDRESS={}", host.address),
        format!("PUBLIC_URL={}", platform.url()),
        format!("TRUSTED_PROXIES={}", edges.join(",")),
        format!("DATABASE_URL={}", database_url(context, host)?),
        format!("DATABASE_PASSWORD_FILE={DIRECTORY}/database.password"),
        format!("PRIVATE_CA_FILE={DIRECTORY}/authority.pem"),
        format!("TLS_CERT_FILE={DIRECTORY}/tls.pem"),
        format!("TLS_KEY_FILE={DIRECTORY}/tls.key"),
        format!("SECRET_KEY_FILE={DIRECTORY}/secret-key.password"),
        format!("SEALING_KEYS_FILE={DIRECTORY}/sealing-keys"),
    ];
    for instance in Instance::BOTH {
        let (name, upper) = (instance.name(), instance.name().to_uppercase());
        lines.push(format!("VALKEY_{upper}_URL=rediss://{}@{cache}:{}", valkey::APP_USER, instance.port()));
        lines.push(format!("VALKEY_{upper}_PASSWORD_FILE={DIRECTORY}/valkey-{name}.password"));
    }
    // Docker reads everything after `=` up to the end of the line as the value, so a value with a line break has no place.
    for (name, value) in &platform.settings.app.environment {
        if value.contains('\n') {
            let reason = format!(
                "app.environment.{name} has a line break, which Docker's environment files cannot hold"
            );
            return Err(ComponentError::new(NAME, host, &reason));
        }
        lines.push(format!("{name}={value}"));
    }
    Ok(File::new(ENVIRONMENT, lines.join("\n") + "\n").owned_by("root", "root", 0o600))
}

fn migration_environment(context: &Context<'_>, host: &Host) -> Result<File, ComponentError> {
    let db = first(context.platform, Role::Db, host)?;
    let content = format!(
        "DATABASE_URL={serving}\n\
         DATABASE_DIRECT_URL=postgres://{OWNING_ROLE}@{db}:{port}/{DATABASE}\n\
         DATABASE_DIRECT_PASSWORD_FILE={MIGRATION_DIRECTORY}/database-direct.password\n\
         PRIVATE_CA_FILE={MIGRATION_DIRECTORY}/authority.pem\n",
        serving = database_url(context, host)?,
        port = postgres::PORT,
    );
    Ok(File::new(MIGRATION_ENVIRONMENT, content).owned_by("root", "root", 0o600))
}

/// Options of `docker run` that every container of the image gets.
fn confinement(context: &Context<'_>) -> String {
    let settings = &context.platform.settings.app;
    let read_only = if settings.read_only { " --read-only" } else { "" };
    let tmpfs: String =
        settings.tmpfs.iter().map(|path| format!(" --tmpfs {path}:noexec,nosuid,nodev")).collect();
    format!(
        "--network host --pull never{read_only} --tmpfs /tmp:noexec,nosuid,nodev{tmpfs} --cap-drop ALL \
         --security-opt no-new-privileges --user {UID}:{UID} --log-driver none --pids-limit 512"
    )
}

/// What the unit needs of the host: to speak to the engine, and nothing else.
const UNIT_CONFINEMENT: &str = "\
Environment=DOCKER_CONFIG=/nonexistent
CapabilityBoundingSet=
LockPersonality=yes
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
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
";

fn template(context: &Context<'_>) -> File {
    let content = format!(
        "\
[Unit]
Description=The application, %i
Requires=docker.service
After=docker.service network-online.target
Wants=network-online.target

[Service]
Type=exec
ExecStartPre=-/usr/bin/docker rm --force app-%i
ExecStart=/usr/bin/docker run --rm --name app-%i {options} --env-file {ENVIRONMENT} --env-file /etc/bastide/app-%i.env --volume {DIRECTORY}:{DIRECTORY}:ro {image}
ExecStop=/usr/bin/docker stop --time 20 app-%i
Restart=always
RestartSec=1
TimeoutStopSec=30
SyslogIdentifier=app-%i
{UNIT_CONFINEMENT}
[Install]
WantedBy=multi-user.target
",
        options = confinement(context),
        image = context.app_image.reference,
    );
    File::new("/etc/systemd/system/app@.service", content)
}

/// Brings the schema up to date, at boot and before a new image serves.
fn migration(context: &Context<'_>) -> File {
    let content = format!(
        "\
[Unit]
Description=Migrations of the application
Requires=docker.service
After=docker.service network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStartPre=-/usr/bin/docker rm --force app-migrate
ExecStart=/usr/bin/docker run --rm --name app-migrate {options} --env-file {MIGRATION_ENVIRONMENT} --volume {MIGRATION_DIRECTORY}:{MIGRATION_DIRECTORY}:ro {image} migrate
Restart=on-failure
RestartSec=5
TimeoutStartSec=900
SyslogIdentifier=app-migrate
{UNIT_CONFINEMENT}
[Install]
WantedBy=multi-user.target
",
        options = confinement(context),
        image = context.app_image.reference,
    );
    File::new("/etc/systemd/system/app-migrate.service", content)
}
