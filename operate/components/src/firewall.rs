//! The firewall: what the flows say and nothing else, on every host.

use crate::probing::{on_every_host, output, refuted};
use crate::{Component, ComponentError, Context, Step, egress};
use bastide_converge::resource::{Firewall as Rules, FirewallRule, Resource};
use bastide_platform::{Flow, Host, Platform};
use bastide_verify::{Check, Evidence, Failure};

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

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        on_every_host(context.platform, closed)
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

fn closed(host: &Host) -> Check {
    let name = host.name.to_string();
    let claim = "the firewall is up, starts with the host and denies by default";
    Check::new("firewall/denies-by-default", NAME, Some(&host.name.to_string()), claim, move |field| {
        let name = name.clone();
        async move {
            let status = output(&field, &name, &["ufw", "status", "verbose"]).await?;
            let mut policies = String::new();
            for program in ["iptables", "ip6tables"] {
                policies.push_str(&output(&field, &name, &[program, "-S", "INPUT"]).await?);
                policies.push_str(&output(&field, &name, &[program, "-S", "FORWARD"]).await?);
            }
            judge(&status, &policies)
        }
    })
}

/// Judges what ufw says and what the kernel does, which may differ.
fn judge(status: &str, policies: &str) -> Result<Evidence, Failure> {
    if !status.lines().any(|line| line == "Status: active") {
        return refuted(format!("ufw says `{}`", status.lines().next().unwrap_or_default()));
    }
    let policies: Vec<&str> = policies.lines().filter(|line| line.starts_with("-P ")).collect();
    match policies.iter().find(|policy| !policy.ends_with(" DROP")) {
        Some(policy) => refuted(format!("the kernel has `{policy}`")),
        None if policies.len() == 4 => {
            Ok("ufw active; the kernel drops by default, IPv4 and IPv6".to_owned())
        }
        None => refuted(format!("not proven: the kernel has {} policies and not 4", policies.len())),
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
    fn a_firewall_that_is_down_or_open_is_found() {
        let closed = "-P INPUT DROP\n-P FORWARD DROP\n-P INPUT DROP\n-P FORWARD DROP\n";
        let active = "Status: active\nLogging: on (low)\n";
        assert!(judge(active, closed).is_ok());
        assert!(judge("Status: inactive\n", closed).is_err());
        assert!(judge(active, &closed.replacen("INPUT DROP", "INPUT ACCEPT", 1)).is_err());
        assert!(judge(active, "-P INPUT DROP\n").is_err());
    }

    #[test]
    fn only_the_edge_lets_anything_through() {
        let fixture = Fixture::lab();
        let of = |host| rules(&fixture.platform, &[], fixture.host(host));
        assert!(!of("edge").forward.is_empty() && of("edge").masquerade.is_some());
        assert!(of("app").forward.is_empty() && of("app").masquerade.is_none());
    }
}
