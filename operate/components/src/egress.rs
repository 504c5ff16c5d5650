//! Egress: the way out of the private network, through the edge and nowhere else.

use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{Command, File, ForwardRule, Masquerade, Resource, Sysctl, Unit};
use bastide_platform::{Host, Platform, Role};
use std::net::Ipv4Addr;

const NAME: &str = "egress";
const UNIT: &str = "bastide-egress.service";

/// What private hosts may reach outside: packages, ACME, object storage and error trackers, names, time.
pub(crate) const PORTS: [(u16, &str); 5] =
    [(80, "tcp"), (443, "tcp"), (53, "udp"), (53, "tcp"), (123, "udp")];

/// The component.
pub struct Egress;

impl Component for Egress {
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
        if host.has(Role::Edge) {
            let values = vec![("net.ipv4.ip_forward".to_owned(), "1".to_owned())];
            return Ok(vec![Resource::new(NAME, Sysctl { name: "bastide-egress".to_owned(), values })]);
        }
        Ok(route(context.platform.edge().address))
    }
}

/// The default route, whatever configures the interfaces: providers differ in that, and this works with each.
fn route(edge: Ipv4Addr) -> Vec<Resource> {
    let content = format!(
        "[Unit]\nDescription=Way out of the private network, through the edge\nWants=network-online.target\n\
         After=network-online.target\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
         ExecStart=/usr/sbin/ip -4 route replace default via {edge}\n\n[Install]\nWantedBy=multi-user.target\n"
    );
    let file = Resource::new(NAME, File::new(&format!("/etc/systemd/system/{UNIT}"), content));
    let unit = Unit::running(UNIT).restarted_by([&file]);
    let route = Command {
        name: "default route through the edge".to_owned(),
        // The first route is the one that is used.
        unless: [
            "sh",
            "-c",
            "ip -4 route show default | head -n 1 | grep -qF \"via $0 \"",
            &edge.to_string(),
        ]
        .map(str::to_owned)
        .to_vec(),
        run: ["systemctl", "restart", UNIT].map(str::to_owned).to_vec(),
    };
    vec![file, Resource::new(NAME, unit), Resource::new(NAME, route)]
}

/// What may pass through `host`: on the edge, from the private network to [`PORTS`] anywhere.
pub fn forward(platform: &Platform, host: &Host) -> Vec<ForwardRule> {
    if !host.has(Role::Edge) {
        return Vec::new();
    }
    vec![ForwardRule {
        from: platform.private_network.to_string(),
        to: "0.0.0.0/0".to_owned(),
        ports: Some(PORTS.map(|(port, transport)| (port, transport.to_owned())).to_vec()),
        comment: "way out of the private network".to_owned(),
    }]
}

/// What leaves `host` with its public address.
pub fn masquerade(platform: &Platform, host: &Host) -> Option<Masquerade> {
    let public_address = host.public_address.filter(|_| host.has(Role::Edge))?;
    Some(Masquerade {
        from: platform.private_network.to_string(),
        public_address: public_address.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn the_edge_forwards_and_everyone_else_goes_through_it() {
        let fixture = Fixture::lab();
        let context = fixture.context();
        let ids = |host| -> Vec<String> {
            let resources = Egress.resources(&context, fixture.host(host)).unwrap();
            resources.iter().map(|resource| resource.id().to_string()).collect()
        };
        assert_eq!(ids("edge"), ["sysctl bastide-egress"]);
        assert_eq!(
            ids("db"),
            [
                "file /etc/systemd/system/bastide-egress.service",
                "unit bastide-egress.service",
                "command default route through the edge"
            ]
        );
    }

    #[test]
    fn only_the_edge_forwards_and_only_from_the_private_network() {
        let fixture = Fixture::lab();
        let rules = forward(&fixture.platform, fixture.host("edge"));
        assert_eq!((rules[0].from.as_str(), rules.len()), ("10.0.0.0/24", 1));
        assert!(forward(&fixture.platform, fixture.host("db")).is_empty());
        assert_eq!(masquerade(&fixture.platform, fixture.host("db")), None);
        let masquerade = masquerade(&fixture.platform, fixture.host("edge")).unwrap();
        assert_eq!(masquerade.public_address, "198.51.100.10");
    }
}
