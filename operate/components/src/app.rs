//! The application: one container of its image, in one of two slots, with what the contract gives it.
//!
//! `blue` and `green` are two instances of one unit on two ports. One of them runs; a deploy starts the other, and
//! Caddy follows. The container that serves never sees the password that migrates.

mod checks;
pub(crate) mod environment;

use crate::authority::Wanted;
use crate::{Component, ComponentError, Context, Step};
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
        let user = User { uid: Some(UID), ..User::of_service(USER) };
        let mut resources = vec![Resource::new(NAME, user), Resource::new(NAME, curl)];
        for path in [DIRECTORY, MIGRATION_DIRECTORY] {
            // The container knows the user by its number alone, and no group of the host.
            resources.push(Resource::new(NAME, Directory::new(path).owned_by(USER, USER, 0o500)));
        }
        let mut serving = vec![image.clone()];
        serving.push(context.authority.resource(NAME, &wanted, context.now).map_err(|error| failed(&error))?);
        serving.extend(environment::files(context, host)?);
        serving.push(Resource::new(NAME, environment::serving(context, host)?));
        serving.extend(SLOTS.map(|(slot, port, metrics)| {
            let content = format!("PORT={port}\nMETRICS_PORT={metrics}\n");
            Resource::new(NAME, File::new(&format!("/etc/bastide/app-{slot}.env"), content))
        }));
        serving.push(Resource::new(NAME, template(context)));

        let mut migrating = vec![image];
        migrating.extend(environment::migration_files(context));
        migrating.push(Resource::new(NAME, environment::migrating(context, host)?));
        migrating.push(Resource::new(NAME, migration(context)));
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

/// Asks the application on `port` what Caddy asks it: the contract's own word for being able to serve.
fn ready(host: &Host, port: u16) -> Vec<String> {
    let authority = format!("{DIRECTORY}/authority.pem");
    let url = format!("https://{}:{port}/readyz", host.address);
    ["curl", "--silent", "--show-error", "--fail", "--max-time", "5", "--cacert", &authority, &url]
        .map(str::to_owned)
        .into()
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
