//! The issuer's units, and the program by which the operator runs its commands.

use super::credentials::{self, Credentials};
use super::{
    DIRECTORY, ENVIRONMENT, MIGRATION_ENVIRONMENT, MIGRATION_UNIT, OPERATOR_PROGRAM, PROGRAM, UNIT, USER,
};
use bastide_converge::resource::File;

/// What every process of the issuer is confined to, whatever it sees of the host.
const PROCESS: [(&str, &str); 16] = [
    ("User", USER),
    ("Group", USER),
    ("MemoryMax", "256M"),
    ("TasksMax", "128"),
    ("LimitNOFILE", "65536"),
    ("UMask", "0077"),
    ("CapabilityBoundingSet", ""),
    ("LockPersonality", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("NoNewPrivileges", "yes"),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
];

/// What a unit of it sees of the host: nothing that it could change, and nobody else's processes.
const VIEW: [(&str, &str); 14] = [
    ("PrivateDevices", "yes"),
    ("PrivateTmp", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectHome", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectProc", "invisible"),
    ("ProtectSystem", "strict"),
    ("RemoveIPC", "yes"),
    ("SystemCallFilter", "~@privileged @resources"),
    ("SystemCallErrorNumber", "EPERM"),
];

fn confinement() -> String {
    PROCESS.iter().chain(&VIEW).map(|(name, value)| format!("{name}={value}\n")).collect()
}

fn load<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("LoadCredential={name}:{DIRECTORY}/{name}\n")).collect()
}

/// The process that serves. What was asked of it when it is told to stop, it finishes; what comes meanwhile, the edge
/// holds until the next one listens.
pub(super) fn serving(handed: &Credentials) -> File {
    let content = format!(
        "\
[Unit]
Description=The issuer
Wants=network-online.target postgresql.service {MIGRATION_UNIT}
After=network-online.target postgresql.service {MIGRATION_UNIT}
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile={ENVIRONMENT}
{load}ExecStart={PROGRAM} serve
Restart=always
RestartSec=1
# What is wrong with its configuration, no second start puts right.
RestartPreventExitStatus=2
TimeoutStopSec=30
SyslogIdentifier=identity
{confinement}
[Install]
WantedBy=multi-user.target
",
        load = load(handed.names()),
        confinement = confinement(),
    );
    File::new(&format!("/etc/systemd/system/{UNIT}"), content)
}

/// Brings the schema up to date, at boot and before a new program serves.
pub(super) fn migrating() -> File {
    let content = format!(
        "\
[Unit]
Description=Migrations of the issuer
Wants=network-online.target postgresql.service
After=network-online.target postgresql.service

[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile={MIGRATION_ENVIRONMENT}
{load}ExecStart={PROGRAM} migrate
Restart=on-failure
RestartSec=5
TimeoutStartSec=900
SyslogIdentifier=identity-migrate
{confinement}
[Install]
WantedBy=multi-user.target
",
        load = load([credentials::OWNER, credentials::AUTHORITY].into_iter()),
        confinement = confinement(),
    );
    File::new(&format!("/etc/systemd/system/{MIGRATION_UNIT}"), content)
}

/// Runs a command of the issuer as the same user, with the same configuration and no further right.
///
/// What its unit was handed is in memory that this user can read; a view of the host of its own would hide it.
pub(super) fn operator() -> File {
    let properties: String =
        PROCESS.iter().map(|(name, value)| format!("    --property='{name}={value}' \\\n")).collect();
    let content = format!(
        "\
#!/bin/sh
# Runs a command of the issuer as the user of {UNIT}, with what {UNIT} was handed.
systemctl is-active --quiet {UNIT} || {{
    echo \"the issuer does not run, so its secrets are not at hand: see 'journalctl -u {UNIT}'\" >&2
    exit 1
}}
exec systemd-run --quiet --collect --pipe --wait --service-type=exec \\
{properties}    --property='EnvironmentFile={ENVIRONMENT}' \\
    {PROGRAM} \"$@\"
"
    );
    File::new(OPERATOR_PROGRAM, content).owned_by("root", "root", 0o755)
}
