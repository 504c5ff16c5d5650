//! What every host has: its name and its neighbours', a kernel that keeps its secrets, logs that survive.

use crate::probing::{is_container, on_every_host, output, refuted};
use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{Command, File, Packages, Resource, Sysctl, Unit};
use bastide_platform::Host;
use bastide_verify::{Check, Evidence, Failure};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::SystemTime;

const NAME: &str = "base";

/// Packages that every host needs, whatever it is for.
const PACKAGES: [&str; 6] =
    ["ca-certificates", "iproute2", "openssh-server", "sudo", "systemd-timesyncd", "ufw"];

/// Kernel settings of the network. Forwarding is not among them: it belongs to whoever forwards.
pub(crate) const NETWORK: [(&str, &str); 15] = [
    ("net.ipv4.conf.all.accept_redirects", "0"),
    ("net.ipv4.conf.default.accept_redirects", "0"),
    ("net.ipv4.conf.all.secure_redirects", "0"),
    ("net.ipv4.conf.default.secure_redirects", "0"),
    ("net.ipv4.conf.all.send_redirects", "0"),
    ("net.ipv4.conf.default.send_redirects", "0"),
    ("net.ipv4.conf.all.accept_source_route", "0"),
    ("net.ipv4.conf.default.accept_source_route", "0"),
    ("net.ipv4.icmp_echo_ignore_broadcasts", "1"),
    ("net.ipv4.tcp_rfc1337", "1"),
    ("net.ipv4.tcp_syncookies", "1"),
    ("net.ipv6.conf.all.accept_redirects", "0"),
    ("net.ipv6.conf.default.accept_redirects", "0"),
    ("net.ipv6.conf.all.accept_source_route", "0"),
    ("net.ipv6.conf.default.accept_source_route", "0"),
];

/// Kernel settings that a container shares with its machine and cannot change.
pub(crate) const KERNEL: [(&str, &str); 12] = [
    ("dev.tty.ldisc_autoload", "0"),
    ("fs.protected_fifos", "2"),
    ("fs.protected_hardlinks", "1"),
    ("fs.protected_regular", "2"),
    ("fs.protected_symlinks", "1"),
    ("fs.suid_dumpable", "0"),
    ("kernel.core_pattern", "|/bin/false"),
    ("kernel.dmesg_restrict", "1"),
    ("kernel.kptr_restrict", "2"),
    ("kernel.randomize_va_space", "2"),
    ("kernel.sysrq", "0"),
    ("kernel.yama.ptrace_scope", "1"),
];

const JOURNAL: &str = "[Journal]\nStorage=persistent\nCompress=yes\nSystemMaxUse=512M\nSystemKeepFree=1G\n\
                       MaxRetentionSec=30day\nForwardToSyslog=no\n";

const SUDO: &str = "Defaults use_pty\nDefaults !visiblepw\n";

const NO_CORE_DUMPS: &str = "* hard core 0\nroot hard core 0\n";

/// Writes an entry and waits until it is in a file on disk, for three seconds at most.
const WRITE_AND_READ: &str = "logger -t bastide-verify \"$1\"; for attempt in $(seq 30); do journalctl --sync; \
     journalctl --directory=/var/log/journal -t bastide-verify -n 20 -o cat | grep -qF \"$1\" && echo $attempt && \
     exit; sleep 0.1; done; echo the entry is not on disk >&2; exit 1";

/// The component.
pub struct Base;

impl Component for Base {
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
        let mut resources = names(context, host);
        let packages =
            Packages { names: PACKAGES.map(str::to_owned).to_vec(), release: None, at_least: None };
        resources.push(Resource::new(NAME, packages));
        resources.push(Resource::new(NAME, sysctl("network", &NETWORK)));
        resources.push(Resource::new(NAME, sysctl("kernel", &KERNEL)));
        let limits = File::new("/etc/security/limits.d/10-bastide.conf", NO_CORE_DUMPS);
        resources.push(Resource::new(NAME, limits));
        let sudo = File::new("/etc/sudoers.d/10-bastide", SUDO)
            .owned_by("root", "root", 0o440)
            .validated_by(&["/usr/sbin/visudo", "-cf", "{}"]);
        resources.push(Resource::new(NAME, sudo));
        let journal = Resource::new(NAME, File::new("/etc/systemd/journald.conf.d/10-bastide.conf", JOURNAL));
        let journald = Unit::running("systemd-journald.service").restarted_by([&journal]);
        resources.extend([journal, Resource::new(NAME, journald)]);
        Ok(resources)
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        on_every_host(context.platform, kernel)
            .into_iter()
            .chain(on_every_host(context.platform, journal))
            .collect()
    }
}

fn sysctl(name: &str, values: &[(&str, &str)]) -> Sysctl {
    let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Sysctl { name: format!("bastide-{name}"), values }
}

fn names(context: &Context<'_>, host: &Host) -> Vec<Resource> {
    let name = host.name.as_str();
    let hostname = File::new("/etc/hostname", format!("{name}\n"));
    let script = "test \"$(cat /proc/sys/kernel/hostname)\" = \"$0\"";
    let now = Command {
        name: "host name in force".to_owned(),
        unless: ["sh", "-c", script, name].map(str::to_owned).to_vec(),
        run: ["hostname", name].map(str::to_owned).to_vec(),
    };
    let hosts = File::new("/etc/hosts", hosts_file(context));
    vec![Resource::new(NAME, hosts), Resource::new(NAME, hostname), Resource::new(NAME, now)]
}

/// The same file on every host: private names need no DNS, and nobody outside can answer for them.
fn hosts_file(context: &Context<'_>) -> String {
    let mut text = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n\n");
    for host in &context.platform.hosts {
        let _ = writeln!(text, "{} {}", host.address, host.name);
    }
    if !context.names.is_empty() {
        text.push('\n');
    }
    for (name, address) in context.names {
        let _ = writeln!(text, "{address} {name}");
    }
    text
}

fn kernel(host: &Host) -> Check {
    let name = host.name.to_string();
    let claim = "the kernel runs with the hardened settings";
    Check::new("base/kernel-settings", NAME, Some(&host.name.to_string()), claim, move |field| {
        let name = name.clone();
        async move {
            let container = is_container(&field, &name).await?;
            let own: &[(&str, &str)] = if container { &[] } else { &KERNEL };
            let expected: Vec<(&str, &str)> = NETWORK.iter().chain(own).copied().collect();
            let script = "for key; do echo \"$key=$(cat /proc/sys/$(echo $key | tr . /))\"; done";
            let keys = expected.iter().map(|(key, _)| *key);
            let argv: Vec<&str> = ["sh", "-c", script, "sh"].into_iter().chain(keys).collect();
            let evidence = judge_settings(&expected, &output(&field, &name, &argv).await?)?;
            let shared =
                if container { "; a container, the rest of the kernel is its machine's" } else { "" };
            Ok(format!("{evidence}{shared}"))
        }
    })
}

fn judge_settings(expected: &[(&str, &str)], live: &str) -> Result<Evidence, Failure> {
    let live: BTreeMap<&str, &str> = live.lines().filter_map(|line| line.split_once('=')).collect();
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(key, value)| live.get(key).map(|live| live.trim()) != Some(value))
        .map(|(key, value)| {
            format!("{key} is {:?} and not {value}", live.get(key).copied().unwrap_or_default())
        })
        .collect();
    if wrong.is_empty() {
        Ok(format!("{} settings as wanted", expected.len()))
    } else {
        refuted(wrong.join("; "))
    }
}

fn journal(host: &Host) -> Check {
    let name = host.name.to_string();
    let claim = "the journal survives a restart";
    Check::new("base/journal-survives", NAME, Some(&host.name.to_string()), claim, move |field| {
        let name = name.clone();
        async move {
            let token = format!("{:?}", SystemTime::now());
            let written = output(&field, &name, &["sh", "-c", WRITE_AND_READ, "sh", &token]).await?;
            Ok(format!("an entry was found on disk after {} attempt(s)", written.trim()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use bastide_converge::resource::{Content, Spec};

    #[test]
    fn every_host_knows_every_private_name_and_the_names_that_dns_lacks() {
        let mut fixture = Fixture::lab();
        fixture.names.insert("acme.test".to_owned(), "198.51.100.20".parse().unwrap());
        let text = hosts_file(&fixture.context());
        assert_eq!(
            text,
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n\n10.0.0.10 edge\n10.0.0.20 app\n\
             10.0.0.30 db\n10.0.0.40 cache\n10.0.0.50 identity\n\n198.51.100.20 acme.test\n"
        );
    }

    #[test]
    fn hardening_leaves_forwarding_to_whoever_forwards() {
        assert!(NETWORK.iter().chain(&KERNEL).all(|(key, _)| !key.contains("forward")));
    }

    #[test]
    fn a_setting_that_differs_or_is_missing_is_found() {
        let expected = [("net.ipv4.tcp_syncookies", "1"), ("net.ipv4.tcp_rfc1337", "1")];
        let good = "net.ipv4.tcp_syncookies=1\nnet.ipv4.tcp_rfc1337=1\n";
        assert!(judge_settings(&expected, good).is_ok());
        assert!(judge_settings(&expected, &good.replace("syncookies=1", "syncookies=0")).is_err());
        assert!(judge_settings(&expected, "net.ipv4.tcp_syncookies=1\nnet.ipv4.tcp_rfc1337=\n").is_err());
    }

    #[test]
    fn a_file_that_could_lock_sudo_is_validated() {
        let fixture = Fixture::lab();
        let context = fixture.context();
        let resources = Base.resources(&context, fixture.host("db")).unwrap();
        let sudoers = resources.iter().find_map(|resource| match &resource.spec {
            Spec::File(file) if file.path.starts_with("/etc/sudoers.d") => Some(file),
            _ => None,
        });
        let sudoers = sudoers.unwrap();
        assert_eq!(sudoers.mode, 0o440);
        assert!(sudoers.validate.as_ref().unwrap()[0].ends_with("visudo"));
        assert_eq!(sudoers.content, Content::Text(SUDO.to_owned()));
    }
}
