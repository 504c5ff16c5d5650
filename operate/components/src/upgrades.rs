//! Unattended upgrades: security fixes every night, but never of what would restart production by itself.

use crate::probing::{on_every_host, output, refuted};
use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{File, Packages, Resource, Unit};
use bastide_platform::OperatingSystem::{self, Debian13, Debian14, Ubuntu2404, Ubuntu2604};
use bastide_platform::{Host, Platform};
use bastide_verify::{Check, Evidence, Failure};
use std::fmt::Write;

const NAME: &str = "upgrades";

/// Beginnings of the names of packages that only an operator upgrades.
pub(crate) const EXCLUDED: [&str; 7] =
    ["caddy", "containerd", "docker", "pgbouncer", "postgresql", "runc", "valkey"];

/// Minutes after midnight at which the first host may restart.
const FIRST_RESTART: usize = 2 * 60;
/// Minutes between the restarts of two hosts.
const BETWEEN_RESTARTS: usize = 30;

/// The component.
pub struct Upgrades;

impl Component for Upgrades {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Hosts
    }

    fn placed_on(&self, _host: &Host) -> bool {
        true
    }

    fn resources(&self, context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
        let package = Packages { names: vec!["unattended-upgrades".into()], release: None, at_least: None };
        // Its number puts it after the package's own file, whose lists it clears.
        let file = File::new("/etc/apt/apt.conf.d/52bastide-upgrades", configuration(context.platform, host))
            .validated_by(&["apt-config", "-c", "{}", "dump"]);
        let timer = Unit::running("apt-daily-upgrade.timer");
        Ok(vec![Resource::new(NAME, package), Resource::new(NAME, file), Resource::new(NAME, timer)])
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        on_every_host(context.platform, as_configured)
    }
}

fn configuration(platform: &Platform, host: &Host) -> String {
    let mut text = String::from(
        "APT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n\
         #clear Unattended-Upgrade::Origins-Pattern;\n#clear Unattended-Upgrade::Allowed-Origins;\n\
         Unattended-Upgrade::Origins-Pattern {\n",
    );
    for origin in security_origins(host.os) {
        let _ = writeln!(text, "  \"{origin}\";");
    }
    text.push_str("};\nUnattended-Upgrade::Package-Blacklist {\n");
    for package in EXCLUDED {
        let _ = writeln!(text, "  \"{package}\";");
    }
    let _ = write!(
        text,
        "}};\nUnattended-Upgrade::Automatic-Reboot \"true\";\n\
         Unattended-Upgrade::Automatic-Reboot-WithUsers \"true\";\n\
         Unattended-Upgrade::Automatic-Reboot-Time \"{}\";\n",
        restart_time(platform, host)
    );
    text
}

fn security_origins(os: OperatingSystem) -> &'static [&'static str] {
    match os {
        Debian13 | Debian14 => &["origin=Debian,codename=${distro_codename}-security,label=Debian-Security"],
        Ubuntu2404 | Ubuntu2604 => &[
            "origin=Ubuntu,archive=${distro_codename}-security",
            "origin=UbuntuESM,archive=${distro_codename}-infra-security",
            "origin=UbuntuESMApps,archive=${distro_codename}-apps-security",
        ],
    }
}

/// When `host` may restart for a new kernel: never at the same time as another.
pub(crate) fn restart_time(platform: &Platform, host: &Host) -> String {
    let position = platform.hosts.iter().position(|other| other.name == host.name).unwrap_or_default();
    let minutes = (FIRST_RESTART + position * BETWEEN_RESTARTS) % (24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn as_configured(host: &Host) -> Check {
    let name = host.name.to_string();
    let claim = "security fixes are installed every night, and never of what runs production";
    Check::new("upgrades/exclusions", NAME, Some(&host.name.to_string()), claim, move |field| {
        let name = name.clone();
        async move {
            let evidence = judge(&output(&field, &name, &["apt-config", "dump"]).await?)?;
            let timer = field.command(&name, &["systemctl", "is-active", "apt-daily-upgrade.timer"]).await?;
            if timer.stdout.trim() == "active" {
                return Ok(evidence);
            }
            refuted(format!("apt-daily-upgrade.timer is {}", timer.stdout.trim()))
        }
    })
}

/// Judges what apt and its programs read in the end, whichever files it comes from.
fn judge(dump: &str) -> Result<Evidence, Failure> {
    let values = |key: &str| -> Vec<&str> {
        let prefix = format!("{key} \"");
        let value = |line: &'_ str| -> Option<usize> { line.starts_with(&prefix).then_some(prefix.len()) };
        dump.lines()
            .filter_map(|line| value(line).map(|start| line[start..].trim_end_matches("\";")))
            .filter(|value| !value.is_empty())
            .collect()
    };
    if values("APT::Periodic::Unattended-Upgrade") != ["1"] {
        return refuted("unattended upgrades are off");
    }
    let excluded = values("Unattended-Upgrade::Package-Blacklist::");
    let missing: Vec<&str> = EXCLUDED.into_iter().filter(|package| !excluded.contains(package)).collect();
    if !missing.is_empty() {
        return refuted(format!("not excluded: {}", missing.join(", ")));
    }
    let mut origins = values("Unattended-Upgrade::Origins-Pattern::");
    origins.extend(values("Unattended-Upgrade::Allowed-Origins::"));
    if let Some(origin) = origins.iter().find(|origin| !origin.contains("-security")) {
        return refuted(format!("more than security fixes are installed, from `{origin}`"));
    }
    if origins.is_empty() {
        return refuted("no origin is upgraded from");
    }
    Ok(format!("excluded: {}; from {}", excluded.join(", "), origins.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn no_two_hosts_restart_at_the_same_time() {
        let fixture = Fixture::lab();
        let times: Vec<_> =
            fixture.platform.hosts.iter().map(|host| restart_time(&fixture.platform, host)).collect();
        assert_eq!(times, ["02:00", "02:30", "03:00", "03:30", "04:00"]);
    }

    #[test]
    fn what_would_restart_production_is_excluded_on_every_system() {
        for os in OperatingSystem::ALL {
            let fixture = Fixture::lab_on(os);
            let text = configuration(&fixture.platform, fixture.host("db"));
            for package in ["postgresql", "pgbouncer", "valkey", "docker", "containerd", "caddy"] {
                assert!(text.contains(&format!("  \"{package}\";\n")), "{package} on {os}");
            }
            assert!(text.contains("-security"), "{os}");
        }
    }

    #[test]
    fn what_weakens_the_exclusions_is_found() {
        let excluded: String = EXCLUDED
            .iter()
            .map(|package| format!("Unattended-Upgrade::Package-Blacklist:: \"{package}\";\n"))
            .collect();
        let good = format!(
            "APT::Periodic::Unattended-Upgrade \"1\";\nUnattended-Upgrade::Package-Blacklist \"\";\n{excluded}\
             Unattended-Upgrade::Origins-Pattern:: \"origin=Debian,codename=${{distro_codename}}-security\";\n"
        );
        assert!(judge(&good).unwrap().contains("postgresql"));
        let seen = |text: String| match judge(&text) {
            Err(Failure::Refuted(seen)) => seen,
            other => panic!("{other:?}"),
        };
        assert!(seen(good.replace("\"1\"", "\"0\"")).contains("off"));
        assert!(seen(good.replace(":: \"docker\"", ":: \"podman\"")).contains("docker"));
        assert!(seen(good.replace("-security", "-updates")).contains("more than security"));
        assert!(seen(good.replace("Origins-Pattern", "Nothing")).contains("no origin"));
    }

    #[test]
    fn the_file_as_it_is_written() {
        let fixture = Fixture::lab();
        assert_eq!(
            configuration(&fixture.platform, fixture.host("db")),
            r##"APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
#clear Unattended-Upgrade::Origins-Pattern;
#clear Unattended-Upgrade::Allowed-Origins;
Unattended-Upgrade::Origins-Pattern {
  "origin=Debian,codename=${distro_codename}-security,label=Debian-Security";
};
Unattended-Upgrade::Package-Blacklist {
  "caddy";
  "containerd";
  "docker";
  "pgbouncer";
  "postgresql";
  "runc";
  "valkey";
};
Unattended-Upgrade::Automatic-Reboot "true";
Unattended-Upgrade::Automatic-Reboot-WithUsers "true";
Unattended-Upgrade::Automatic-Reboot-Time "03:00";
"##
        );
    }
}
