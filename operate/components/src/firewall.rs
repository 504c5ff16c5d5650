//! The firewall: what the flows say and nothing else, on every host.

use crate::{Component, ComponentError, Context, Step, egress};
use bastide_converge::resource::{Firewall as Rules, FirewallRule, Resource};
use bastide_platform::{Flow, Host, Platform};

const NAME: &str = "firewall";

/// The component.
pub struct Firewall;

impl Component for Firewall {
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
        let flows = crate::flows(context.platform);
        Ok(vec![Resource::new(NAME, rules(context.platform, &flows, host)).guarded()])
    }
}

/// The whole firewall of `host` under `flows`.
fn rules(platform: &Platform, flows: &[Flow], host: &Host) -> Rules {
    let incoming = platform.allowed(flows).into_iter().filter(|allowed| allowed.to == host.name);
    let incoming = incoming.map(|allowed| FirewallRule {
        from: allowed.from.to_string(),
        port: allowed.port.number,
        transport: allowed.port.transport.as_str().to_owned(),
        comment: allowed.purpose,
    });
    Rules {
        incoming: incoming.collect(),
        forward: egress::forward(platform, host),
        masquerade: egress::masquerade(platform, host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use bastide_platform::{Endpoint, Port, Role};

    fn incoming(fixture: &Fixture, flows: &[Flow], host: &str) -> Vec<String> {
        let rules = rules(&fixture.platform, flows, fixture.host(host));
        let line =
            |rule: &FirewallRule| format!("{} {}/{} {}", rule.from, rule.port, rule.transport, rule.comment);
        rules.incoming.iter().map(line).collect()
    }

    #[test]
    fn flows_become_rules_of_the_host_that_they_lead_to() {
        let fixture = Fixture::lab();
        let role = Endpoint::Role;
        let flows = [
            Flow::new(role(Role::App), role(Role::Db), Port::tcp(5432), "migrations"),
            Flow::new(Endpoint::Internet, role(Role::Edge), Port::udp(443), "HTTP/3"),
            Flow::new(role(Role::Identity), Endpoint::AnyHost, Port::tcp(9100), "metrics"),
        ];
        assert_eq!(
            incoming(&fixture, &flows, "db"),
            ["10.0.0.20/32 5432/tcp migrations", "10.0.0.50/32 9100/tcp metrics"]
        );
        assert_eq!(
            incoming(&fixture, &flows, "edge"),
            ["0.0.0.0/0 443/udp HTTP/3", "10.0.0.50/32 9100/tcp metrics"]
        );
        assert!(incoming(&fixture, &flows, "identity").is_empty());
        assert!(incoming(&fixture, &[], "db").is_empty(), "without a flow nothing is open");
    }

    #[test]
    fn every_host_keeps_its_way_in() {
        let fixture = Fixture::lab();
        let flows = crate::flows(&fixture.platform);
        for host in &fixture.platform.hosts {
            let way_in = incoming(&fixture, &flows, host.name.as_str());
            assert!(way_in.iter().any(|rule| rule.contains(" 22/tcp ")), "{}: {way_in:?}", host.name);
        }
    }

    #[test]
    fn only_the_edge_lets_anything_through() {
        let fixture = Fixture::lab();
        let of = |host| rules(&fixture.platform, &[], fixture.host(host));
        assert!(!of("edge").forward.is_empty() && of("edge").masquerade.is_some());
        assert!(of("app").forward.is_empty() && of("app").masquerade.is_none());
    }
}
