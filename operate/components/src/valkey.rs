//! Valkey, twice: `durable` keeps sessions and the queue and never evicts, `cache` forgets what it must.
//!
//! Two servers, because `maxmemory-policy` is one setting a process and its logical databases share it. Clients are
//! ACL users with the commands and the key prefix that they need; there is no default user.

mod checks;

use crate::authority::Wanted;
use crate::paths::{AUTHORITY, TLS_DIRECTORY};
use crate::source::{self, Software};
use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{Directory, File, Resource, Sysctl, Unit};
use bastide_platform::{Endpoint, Flow, Host, Persistence, Platform, Port, Role, ValkeyInstance};
use bastide_verify::Check;
use sha2::{Digest, Sha256};

/// The application's ACL user.
pub const APP_USER: &str = "app";
/// The ACL user that sees how the server is and no key.
pub const MONITOR_USER: &str = "monitor";
/// The ACL user with which a lab is filled to the brim; a lab's alone.
pub const FILL_USER: &str = "fill";

/// Held by checks while they fill an instance to the brim, and by those which need it to accept writes.
pub(crate) static PRESSURE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Its own keys and channels, and no command that sees or harms anything else.
const APP_RULES: &str = "~app:* resetchannels &app:* -@all +@read +@write +@connection +@transaction +publish +subscribe \
     +unsubscribe +psubscribe +punsubscribe +eval +evalsha +script|load +script|exists -@admin -@dangerous -scan \
     -randomkey -swapdb -move";

const NAME: &str = "valkey";
const DIRECTORY: &str = "/etc/bastide/valkey";

/// One of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// Sessions and queue.
    Durable,
    /// Cache.
    Cache,
}

impl Instance {
    /// Both.
    pub const BOTH: [Instance; 2] = [Instance::Durable, Instance::Cache];

    /// Its name, also that of its unit.
    pub fn name(self) -> &'static str {
        match self {
            Instance::Durable => "durable",
            Instance::Cache => "cache",
        }
    }

    /// Its port.
    pub fn port(self) -> u16 {
        match self {
            Instance::Durable => 6379,
            Instance::Cache => 6380,
        }
    }

    /// Its settings.
    pub fn settings(self, platform: &Platform) -> &ValkeyInstance {
        match self {
            Instance::Durable => &platform.settings.valkey.durable,
            Instance::Cache => &platform.settings.valkey.cache,
        }
    }

    /// Name of a user's password among the operator's secrets.
    pub fn password_of(self, user: &str) -> String {
        format!("valkey/{}/{user}", self.name())
    }
}

/// Names of the passwords of its users.
pub(crate) fn secret_names() -> Vec<String> {
    let of = |instance: Instance| [APP_USER, MONITOR_USER].map(|user| instance.password_of(user));
    Instance::BOTH.into_iter().flat_map(of).collect()
}

/// The component.
pub struct Valkey;

impl Component for Valkey {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Cache
    }

    fn placed_on(&self, host: &Host) -> bool {
        host.has(Role::Cache)
    }

    fn flows(&self, _platform: &Platform) -> Vec<Flow> {
        let flow = |instance: Instance| {
            let purpose = format!("Valkey, {}", instance.name());
            Flow::new(
                Endpoint::Role(Role::App),
                Endpoint::Role(Role::Cache),
                Port::tcp(instance.port()),
                &purpose,
            )
        };
        Instance::BOTH.map(flow).into()
    }

    fn resources(&self, context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
        let failed = |error: &dyn std::fmt::Display| ComponentError::new(NAME, host, error);
        let source = source::source(Software::Valkey, host.os).map_err(|error| failed(&error))?;
        let mut resources = source.resources(NAME);
        // The package's own instance listens without a password.
        resources.push(Resource::new(NAME, Unit::stopped("valkey-server.service")));
        // Saving forks, and a fork must not fail because the copy might need as much memory again.
        let overcommit = vec![("vm.overcommit_memory".to_owned(), "1".to_owned())];
        resources.push(Resource::new(NAME, Sysctl { name: NAME.to_owned(), values: overcommit }));
        resources.push(Resource::new(NAME, Directory::new(DIRECTORY).owned_by("root", NAME, 0o750)));

        let wanted = Wanted {
            name: NAME,
            directory: TLS_DIRECTORY,
            names: &[host.address.to_string(), host.name.to_string()],
            owner: NAME,
            group: NAME,
            key_mode: 0o400,
        };
        let certificate =
            context.authority.resource(NAME, &wanted, context.now).map_err(|error| failed(&error))?;
        let template = Resource::new(NAME, template());
        let mut units = Vec::new();
        for instance in Instance::BOTH {
            let configuration = Resource::new(NAME, configuration(context.platform, host, instance));
            let users = Resource::new(NAME, users(context, instance));
            let unit = Unit::running(&format!("valkey@{}.service", instance.name())).restarted_by([
                &certificate,
                &template,
                &configuration,
                &users,
            ]);
            let data = format!("/var/lib/valkey/{}", instance.name());
            resources.push(Resource::new(NAME, Directory::new(&data).owned_by(NAME, NAME, 0o750)));
            resources.extend([configuration, users]);
            units.push(Resource::new(NAME, unit));
        }
        resources.extend([certificate, template]);
        resources.extend(units);
        Ok(resources)
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        checks::checks(context)
    }
}

fn configuration(platform: &Platform, host: &Host, instance: Instance) -> File {
    let settings = instance.settings(platform);
    let persistence = match settings.persistence {
        Persistence::None => "appendonly no",
        Persistence::AppendOnly => "appendonly yes\nappendfsync everysec",
    };
    let content = format!(
        "\
bind {address}
protected-mode yes
port 0
tls-port {port}
tls-cert-file {TLS_DIRECTORY}/{NAME}.pem
tls-key-file {TLS_DIRECTORY}/{NAME}.key
tls-ca-cert-file {AUTHORITY}
tls-auth-clients no
tls-protocols \"TLSv1.2 TLSv1.3\"
aclfile {DIRECTORY}/{name}.acl

dir /var/lib/valkey/{name}
save \"\"
{persistence}
maxmemory {memory}mb
maxmemory-policy {eviction}
maxmemory-clients 10%
databases 1

supervised systemd
daemonize no
logfile \"\"
tcp-keepalive 60
latency-monitor-threshold 100
enable-debug-command no
enable-module-command no
enable-protected-configs no
",
        address = host.address,
        port = instance.port(),
        name = instance.name(),
        memory = settings.memory_mb,
        eviction = settings.eviction.as_str(),
    );
    File::new(&format!("{DIRECTORY}/{}.conf", instance.name()), content).owned_by("root", NAME, 0o640)
}

/// Who may do what. Passwords stand as SHA-256, which is as good as any for 190 random bits.
fn users(context: &Context<'_>, instance: Instance) -> File {
    let user = |name: &str, rules: &str| {
        let password = context.secrets.password(&instance.password_of(name));
        let hash: String =
            Sha256::digest(password.reveal()).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("user {name} on #{hash} {rules}\n")
    };
    let mut content = "user default off resetpass resetkeys resetchannels -@all\n".to_owned();
    content += &user(APP_USER, APP_RULES);
    content += &user(
        MONITOR_USER,
        "resetkeys resetchannels -@all +ping +info +dbsize +config|get +latency|latest +commandlog|len +acl|whoami \
         +client|setname",
    );
    if context.platform.settings.lab.is_some() {
        content +=
            &user(FILL_USER, "~fill:* resetchannels -@all +ping +set +exists +unlink +info +client|setname");
    }
    File::new(&format!("{DIRECTORY}/{}.acl", instance.name()), content)
        .owned_by("root", NAME, 0o640)
        .sensitive()
}

/// The package's template, with the configuration where the package's `tmpfiles.d` does not give it away to the server.
fn template() -> File {
    let content = format!(
        "\
[Unit]
Description=Valkey, %i
Documentation=https://valkey.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
User={NAME}
Group={NAME}
ExecStart=/usr/bin/valkey-server {DIRECTORY}/%i.conf
Restart=always
RestartSec=1
TimeoutStartSec=300
TimeoutStopSec=60
LimitNOFILE=65535
OOMScoreAdjust=-500
UMask=0077
CapabilityBoundingSet=
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
ReadWritePaths=/var/lib/valkey/%i
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
NoExecPaths=/
ExecPaths=/usr/bin/valkey-server /usr/bin/valkey-check-rdb /usr/lib /lib

[Install]
WantedBy=multi-user.target
"
    );
    File::new("/etc/systemd/system/valkey@.service", content)
}

#[cfg(test)]
mod tests {
    use super::APP_RULES;

    /// Tests of applications meet a Valkey that allows what the platform's allows.
    #[test]
    fn tests_of_applications_have_the_same_rules() {
        let source = include_str!("../../../serve/foundation/src/testing/servers.rs");
        let rules = source.split("const APP_RULES: &str = \"").nth(1).and_then(|rest| rest.split('"').next());
        let words = |text: &str| text.replace('\\', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(rules.map(words).as_deref(), Some(APP_RULES));
    }
}
