//! sshd: keys only, on every host, with the algorithms that the host's OpenSSH has.

use crate::probing::{on_every_host, refuted, release_in, said, ssh};
use crate::source::{Floor, Software, floor};
use crate::{Component, ComponentError, Context, Step, bastion};
use bastide_converge::resource::{File, Resource, Unit};
use bastide_platform::OperatingSystem::{self, Debian13, Debian14, Ubuntu2404, Ubuntu2604};
use bastide_platform::{Endpoint, Host, Platform, Role};
use bastide_verify::probe::CommandOutcome;
use bastide_verify::{Check, Evidence, Failure};
use std::fmt::Write;

const NAME: &str = "sshd";
/// Of a keyword that stands twice sshd takes the first, and providers leave files of their own beside this one.
const FILE: &str = "/etc/ssh/sshd_config.d/00-bastide.conf";

/// The directory is missing where sshd is started by its socket and nobody has connected since boot.
const VALIDATE: [&str; 4] =
    ["sh", "-c", "install -d -m 0755 /run/sshd && exec /usr/sbin/sshd -t -f \"$0\"", "{}"];

/// The component.
pub struct Sshd;

impl Component for Sshd {
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
        let file = File::new(FILE, configuration(context.platform, host))
            .owned_by("root", "root", 0o600)
            .validated_by(&VALIDATE);
        let file = Resource::new(NAME, file).guarded();
        let unit = Unit::running("ssh.service").reloaded_by([&file]);
        Ok(vec![file, Resource::new(NAME, unit).guarded()])
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        on_every_host(context.platform, keys_only)
            .into_iter()
            .chain(on_every_host(context.platform, recent))
            .collect()
    }
}

/// The configuration of `host`.
pub(crate) fn configuration(platform: &Platform, host: &Host) -> String {
    let mut text = String::from("# Managed by Bastide.\n");
    if host.ssh.port != 22 {
        let _ = writeln!(text, "Port {}", host.ssh.port);
    }
    let root = if host.ssh.user == "root" { "prohibit-password" } else { "no" };
    let _ = write!(
        text,
        "HostKey /etc/ssh/ssh_host_ed25519_key\n\
         PermitRootLogin {root}\n\
         AuthenticationMethods publickey\n\
         PubkeyAuthentication yes\n\
         PasswordAuthentication no\n\
         KbdInteractiveAuthentication no\n\
         HostbasedAuthentication no\n\
         PermitEmptyPasswords no\n\
         MaxAuthTries 2\n\
         LoginGraceTime 30s\n\
         MaxStartups {}\n\
         ClientAliveInterval 300\n\
         ClientAliveCountMax 2\n\
         LogLevel VERBOSE\n\
         KexAlgorithms {}\n\
         Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com\n\
         MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com\n\
         Compression no\n\
         UseDNS no\n\
         Banner none\n\
         DebianBanner no\n\
         PrintMotd no\n\
         PermitUserEnvironment no\n\
         PermitUserRC no\n\
         PermitTunnel no\n\
         GatewayPorts no\n\
         X11Forwarding no\n\
         AllowAgentForwarding no\n\
         AllowStreamLocalForwarding no\n",
        max_startups(platform, host),
        key_exchanges(host.os),
    );
    if let Some(exempt) = penalty_exemptions(platform, host) {
        let _ = writeln!(text, "PerSourcePenaltyExemptList {exempt}");
    }
    text.push_str(&bastion::forwarding(platform, host));
    text
}

/// Connections that may be unauthenticated at once. On the edge every operator's hop counts twice.
fn max_startups(platform: &Platform, host: &Host) -> String {
    let start = if host.has(Role::Edge) { (2 * platform.hosts.len()).max(10) } else { 10 };
    format!("{start}:30:{}", start.max(10) * 6)
}

/// Key exchanges, post-quantum first. An sshd refuses to start with one that it does not know.
fn key_exchanges(os: OperatingSystem) -> &'static str {
    match os {
        // OpenSSH 10.
        Debian13 | Debian14 | Ubuntu2604 => {
            "mlkem768x25519-sha256,sntrup761x25519-sha512@openssh.com,curve25519-sha256"
        }
        // OpenSSH 9.6: before mlkem768x25519 (9.9).
        Ubuntu2404 => "sntrup761x25519-sha512@openssh.com,curve25519-sha256",
    }
}

/// Who is never locked out for failed logins. All operators come to a private host from the edge's address, so one
/// who mistypes would lock out everybody.
fn penalty_exemptions(platform: &Platform, host: &Host) -> Option<String> {
    match host.os {
        Debian13 | Debian14 | Ubuntu2604 => {}
        // Its OpenSSH has no penalties.
        Ubuntu2404 => return None,
    }
    let mut sources = platform.sources(&Endpoint::Role(Role::Edge));
    if host.has(Role::Edge) {
        sources.extend(platform.sources(&Endpoint::Operator));
    }
    let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
    Some(sources.join(","))
}

fn keys_only(host: &Host) -> Check {
    let name = host.name.to_string();
    let claim = "sshd accepts keys and no password";
    Check::new("sshd/keys-only", NAME, Some(&host.name.to_string()), claim, move |field| {
        let name = name.clone();
        async move {
            // Without a key to show, the client is told what else the server would take.
            let outcome = ssh(&field, &["-o", "PubkeyAuthentication=no", &name, "true"]).await?;
            judge_methods(&outcome)
        }
    })
}

fn judge_methods(outcome: &CommandOutcome) -> Result<Evidence, Failure> {
    if outcome.succeeded() {
        return refuted("a client without a key was let in");
    }
    let methods =
        outcome.stderr.rsplit_once("Permission denied (").and_then(|(_, rest)| rest.split_once(')'));
    match methods {
        Some(("publickey", _)) => Ok("refused a client without a key and offered publickey alone".to_owned()),
        Some((methods, _)) => refuted(format!("it offers {methods}")),
        None => refuted(format!("not proven: {}", said(outcome))),
    }
}

fn recent(host: &Host) -> Check {
    let (name, os) = (host.name.to_string(), host.os);
    let claim = "the running sshd is at least the oldest fit version";
    Check::new("sshd/version", NAME, Some(&host.name.to_string()), claim, move |field| {
        let name = name.clone();
        async move {
            // The version is said before anyone logs in; only the client's own log shows it.
            let arguments = ["-o", "LogLevel=DEBUG1", "-o", "PubkeyAuthentication=no", &name, "true"];
            judge_version(&ssh(&field, &arguments).await?, &floor(Software::OpenSsh, os))
        }
    })
}

fn judge_version(outcome: &CommandOutcome, floor: &Floor) -> Result<Evidence, Failure> {
    let version = outcome.stderr.rsplit_once("remote software version ").and_then(|(_, rest)| {
        let version = rest.lines().next()?;
        Some((version, release_in(version.strip_prefix("OpenSSH_")?)?))
    });
    match version {
        Some((version, release)) if floor.allows(release) => Ok(version.to_owned()),
        Some((version, _)) => refuted(format!("runs {version}; {floor}")),
        None => refuted(format!("not proven, it names no version of OpenSSH: {}", said(outcome))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn a_private_host_takes_keys_and_forwards_nothing() {
        let fixture = Fixture::lab();
        let text = configuration(&fixture.platform, fixture.host("db"));
        assert_eq!(
            text,
            "# Managed by Bastide.\nHostKey /etc/ssh/ssh_host_ed25519_key\nPermitRootLogin prohibit-password\n\
             AuthenticationMethods publickey\nPubkeyAuthentication yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nHostbasedAuthentication no\nPermitEmptyPasswords no\nMaxAuthTries 2\n\
             LoginGraceTime 30s\nMaxStartups 10:30:60\nClientAliveInterval 300\nClientAliveCountMax 2\n\
             LogLevel VERBOSE\n\
             KexAlgorithms mlkem768x25519-sha256,sntrup761x25519-sha512@openssh.com,curve25519-sha256\n\
             Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com\n\
             MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com\nCompression no\nUseDNS no\n\
             Banner none\nDebianBanner no\nPrintMotd no\nPermitUserEnvironment no\nPermitUserRC no\n\
             PermitTunnel no\nGatewayPorts no\nX11Forwarding no\nAllowAgentForwarding no\n\
             AllowStreamLocalForwarding no\nPerSourcePenaltyExemptList 10.0.0.10/32\nAllowTcpForwarding no\n"
        );
    }

    #[test]
    fn ubuntu_24_04_gets_only_what_openssh_9_6_knows() {
        let fixture = Fixture::lab_on(Ubuntu2404);
        let text = configuration(&fixture.platform, fixture.host("edge"));
        assert!(text.contains("KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256\n"));
        assert!(!text.contains("mlkem") && !text.contains("PerSourcePenalt"), "{text}");
    }

    #[test]
    fn root_may_not_log_in_where_the_operator_is_another_user() {
        let mut fixture = Fixture::lab();
        fixture.platform.hosts[2].ssh.user = "admin".to_owned();
        fixture.platform.hosts[2].ssh.port = 2222;
        let text = configuration(&fixture.platform, fixture.host("db"));
        assert!(text.contains("PermitRootLogin no\n") && text.contains("Port 2222\n"), "{text}");
    }

    fn outcome(exit: i32, stderr: &str) -> CommandOutcome {
        CommandOutcome { exit: Some(exit), stdout: String::new(), stderr: stderr.to_owned() }
    }

    #[test]
    fn a_server_that_offers_passwords_is_found() {
        let denied = |methods| outcome(255, &format!("root@10.0.0.30: Permission denied ({methods}).\n"));
        assert!(judge_methods(&denied("publickey")).is_ok());
        for methods in ["publickey,password", "publickey,keyboard-interactive", "password"] {
            let seen = judge_methods(&denied(methods));
            assert_eq!(seen, Err(Failure::Refuted(format!("it offers {methods}"))));
        }
        assert!(judge_methods(&outcome(0, "")).is_err());
        assert!(judge_methods(&outcome(255, "ssh: connect to host: Connection refused")).is_err());
    }

    #[test]
    fn an_old_server_is_found() {
        let floor = floor(Software::OpenSsh, Debian14);
        let log = |version: &str| {
            outcome(255, &format!("debug1: Remote protocol version 2.0, remote software version {version}\n"))
        };
        assert_eq!(judge_version(&log("OpenSSH_10.6p1"), &floor).unwrap(), "OpenSSH_10.6p1");
        assert!(judge_version(&log("OpenSSH_9.2p1 Debian-2"), &floor).is_err());
        assert!(judge_version(&log("dropbear_2024"), &floor).is_err());
        assert!(judge_version(&outcome(255, "Connection refused"), &floor).is_err());
    }

    #[test]
    fn changes_are_guarded_and_validated() {
        let fixture = Fixture::lab();
        let resources = Sshd.resources(&fixture.context(), fixture.host("db")).unwrap();
        assert!(resources.iter().all(|resource| resource.guarded));
        assert_eq!(resources.len(), 2);
    }
}
