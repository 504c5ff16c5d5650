//! The bastion: every way in leads through the edge, to the SSH ports of the other hosts and to nothing else.

use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{Resource, User};
use bastide_platform::{Endpoint, Flow, Host, Platform, Port, Role};
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
            Flow::new(Endpoint::Role(Role::Edge), Endpoint::AnyHost, Port::tcp(port), "bastion's second hop")
        };
        std::iter::once(Flow::new(Endpoint::Operator, Endpoint::Role(Role::Edge), way_in, "bastion"))
            .chain(inside.into_iter().map(second_hop))
            .collect()
    }

    fn resources(&self, context: &Context<'_>, _host: &Host) -> Result<Vec<Resource>, ComponentError> {
        let user = User {
            name: JUMP_USER.to_owned(),
            system: true,
            uid: None,
            home: "/var/lib/bastide-jump".to_owned(),
            shell: "/usr/sbin/nologin".to_owned(),
            groups: Vec::new(),
            authorized_keys: Some(context.platform.settings.operator.keys.clone()),
        };
        Ok(vec![Resource::new(NAME, user)])
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

    #[test]
    fn a_port_of_its_own_is_followed() {
        let mut fixture = Fixture::lab();
        fixture.platform.hosts[1].ssh.port = 2222;
        let text = forwarding(&fixture.platform, fixture.host("edge"));
        assert!(text.contains("10.0.0.20:2222"), "{text}");
        assert_eq!(Bastion.flows(&fixture.platform).len(), 3);
    }
}
