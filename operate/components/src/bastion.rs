//! The bastion: every way in leads through the edge, to the SSH ports of the other hosts and to nothing else.

use crate::probing::{refuted, said, ssh};
use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{Resource, User};
use bastide_platform::{Endpoint, Flow, Host, Platform, Port, Role};
use bastide_verify::probe::CommandOutcome;
use bastide_verify::{Check, Failure};
use std::collections::BTreeSet;

const NAME: &str = "bastion";
/// The user who can jump and do nothing else.
pub const JUMP_USER: &str = "jump";

/// The component.
pub struct Bastion;

impl Component for Bastion {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Hosts
    }

    fn placed_on(&self, host: &Host) -> bool {
        host.has(Role::Edge)
    }

    fn flows(&self, platform: &Platform) -> Vec<Flow> {
        let edge = platform.edge();
        let way_in = Port::tcp(edge.ssh.port);
        let inside: BTreeSet<u16> = private_hosts(platform).map(|host| host.ssh.port).collect();
        let second_hop = |port| {
            Flow::new(
                Endpoint::Role(Role::Edge),
                Endpoint::AnyHost,
                Port::tcp(port),
                "second hop of the bastion",
            )
        };
        std::iter::once(Flow::new(Endpoint::Operator, Endpoint::Role(Role::Edge), way_in, "bastion"))
            .chain(inside.into_iter().map(second_hop))
            .collect()
    }

    fn resources(&self, context: &Context<'_>, _host: &Host) -> Result<Vec<Resource>, ComponentError> {
        let user = User {
            home: "/var/lib/bastide-jump".to_owned(),
            authorized_keys: Some(context.platform.settings.operator.keys.clone()),
            ..User::of_service(JUMP_USER)
        };
        Ok(vec![Resource::new(NAME, user)])
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        vec![forwards_to_ssh_alone(context.platform), listens_for_nobody(context.platform)]
    }
}

/// sshd's rules of forwarding on `host`: none, but on the edge to the others' SSH ports.
pub(crate) fn forwarding(platform: &Platform, host: &Host) -> String {
    if !host.has(Role::Edge) {
        return "AllowTcpForwarding no\n".to_owned();
    }
    let targets: Vec<String> =
        private_hosts(platform).map(|host| format!("{}:{}", host.address, host.ssh.port)).collect();
    let targets = if targets.is_empty() { "none".to_owned() } else { targets.join(" ") };
    format!(
        "AllowTcpForwarding local\nPermitOpen {targets}\nPermitListen none\n\
         Match User {JUMP_USER}\n  PermitTTY no\n  ForceCommand /usr/sbin/nologin\n"
    )
}

/// Hosts that are reached through the edge.
pub(crate) fn private_hosts(platform: &Platform) -> impl Iterator<Item = &Host> {
    platform.hosts.iter().filter(|host| !host.has(Role::Edge))
}

/// Checks by forwarding: to SSH ports, which must work, and to others, which the bastion itself must refuse.
fn forwards_to_ssh_alone(platform: &Platform) -> Check {
    let edge = platform.edge().name.to_string();
    let allowed: Vec<String> =
        private_hosts(platform).map(|host| format!("{}:{}", host.address, host.ssh.port)).collect();
    let denied = elsewhere(platform);
    let claim = "the bastion forwards to the private hosts' SSH ports and nowhere else";
    Check::new(
        "bastion/forwards-to-ssh-alone",
        NAME,
        Some(&platform.edge().name.to_string()),
        claim,
        move |field| {
            let (edge, allowed, denied) = (edge.clone(), allowed.clone(), denied.clone());
            async move {
                // One after the other: sshd drops connections when many begin at once.
                for (targets, expected) in [(&allowed, true), (&denied, false)] {
                    for target in targets {
                        judge(
                            target,
                            &ssh(&field, &["-o", "LogLevel=INFO", "-W", target, &edge]).await?,
                            expected,
                        )?;
                    }
                }
                Ok(format!("reached {}; refused {}", allowed.join(", "), denied.join(", ")))
            }
        },
    )
}

/// Targets that the bastion must refuse: on each private host a port that the edge may reach or nobody does, the
/// edge's own loopback, and the internet.
fn elsewhere(platform: &Platform) -> Vec<String> {
    let flows = crate::flows(platform);
    let allowed = platform.allowed(&flows);
    let other_port = |host: &Host| {
        let open =
            allowed.iter().find(|allowed| allowed.to == host.name && allowed.port.number != host.ssh.port);
        open.map_or(9, |allowed| allowed.port.number)
    };
    let inside = private_hosts(platform).map(|host| format!("{}:{}", host.address, other_port(host)));
    inside.chain(["127.0.0.1:22".to_owned(), "192.0.2.1:22".to_owned()]).collect()
}

fn judge(target: &str, outcome: &CommandOutcome, expected: bool) -> Result<(), Failure> {
    let reached = outcome.stdout.starts_with("SSH-2.0");
    let refused = outcome.stderr.contains("administratively prohibited");
    match (expected, reached, refused) {
        (true, true, _) | (false, false, true) => Ok(()),
        (true, ..) => refuted(format!("the way to {target} is closed: {}", said(outcome))),
        (false, ..) => refuted(format!("the bastion did not refuse {target}: {}", said(outcome))),
    }
}

fn listens_for_nobody(platform: &Platform) -> Check {
    let edge = platform.edge().name.to_string();
    let claim = "the bastion opens no port for whoever is logged in";
    Check::new("bastion/opens-no-port", NAME, Some(&platform.edge().name.to_string()), claim, move |field| {
        let edge = edge.clone();
        async move {
            let arguments =
                ["-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:0:127.0.0.1:9", &edge, "true"];
            let outcome = ssh(&field, &arguments).await?;
            if outcome.stderr.contains("remote port forwarding failed") {
                return Ok("a remote forwarding was refused".to_owned());
            }
            refuted(format!("a remote forwarding was not refused: {}", said(&outcome)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn the_edge_forwards_to_ssh_ports_alone() {
        let fixture = Fixture::lab();
        let text = forwarding(&fixture.platform, fixture.host("edge"));
        assert_eq!(
            text,
            "AllowTcpForwarding local\n\
             PermitOpen 10.0.0.20:22 10.0.0.30:22 10.0.0.40:22 10.0.0.50:22\nPermitListen none\n\
             Match User jump\n  PermitTTY no\n  ForceCommand /usr/sbin/nologin\n"
        );
    }

    #[test]
    fn the_operator_reaches_the_edge_and_the_edge_every_host() {
        let fixture = Fixture::lab();
        let flows = Bastion.flows(&fixture.platform);
        let allowed = fixture.platform.allowed(&flows);
        let lines: Vec<String> =
            allowed.iter().map(|a| format!("{} -> {}:{}", a.from, a.to, a.port)).collect();
        assert_eq!(
            lines,
            [
                "10.0.0.10/32 -> app:22/tcp",
                "10.0.0.10/32 -> cache:22/tcp",
                "10.0.0.10/32 -> db:22/tcp",
                "10.0.0.10/32 -> identity:22/tcp",
                "198.51.100.1/32 -> edge:22/tcp",
            ]
        );
    }

    fn outcome(stdout: &str, stderr: &str) -> CommandOutcome {
        CommandOutcome { exit: Some(255), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }

    #[test]
    fn a_bastion_that_lets_too_much_or_too_little_through_is_found() {
        let refused = outcome("", "channel 0: open failed: administratively prohibited: open failed\n");
        let reached = outcome("SSH-2.0-OpenSSH_10.6\r\n", "");
        let tried = outcome("", "channel 0: open failed: connect failed: Connection refused\n");
        assert!(judge("10.0.0.30:22", &reached, true).is_ok());
        assert!(judge("10.0.0.30:22", &refused, true).is_err());
        assert!(judge("10.0.0.30:5432", &refused, false).is_ok());
        assert!(
            judge("10.0.0.30:5432", &tried, false).is_err(),
            "the bastion tried, so nothing but luck refused"
        );
        assert!(judge("10.0.0.30:5432", &reached, false).is_err());
    }

    #[test]
    fn a_port_of_its_own_is_followed() {
        let mut fixture = Fixture::lab();
        fixture.platform.hosts[1].ssh.port = 2222;
        let text = forwarding(&fixture.platform, fixture.host("edge"));
        assert!(text.contains("10.0.0.20:2222"), "{text}");
        assert_eq!(Bastion.flows(&fixture.platform).len(), 3);
    }
}
