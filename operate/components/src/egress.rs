//! Egress: the way out of the private network, through the edge and nowhere else.

use crate::probing::{on_every_host, output, refuted};
use crate::{Component, ComponentError, Context, Step, bastion};
use bastide_converge::resource::{Command, File, ForwardRule, Masquerade, Resource, Sysctl, Unit};
use bastide_platform::{Host, Platform, Role};
use bastide_verify::probe::{Addresses, Connect, ListenBriefly, Reach, Visits};
use bastide_verify::{Check, Evidence, Failure, Field, Vantage};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::task::JoinSet;

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

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        let platform = context.platform;
        let outside = on_every_host(platform, |host| no_other_way_out(platform, host));
        outside.into_iter().chain([through_the_edge_alone(platform)]).collect()
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

/// What may pass through `host`: on the edge, from the private network to [`PORTS`] anywhere, and from the application
/// and the issuer to their mail server.
pub fn forward(platform: &Platform, host: &Host) -> Vec<ForwardRule> {
    if !host.has(Role::Edge) {
        return Vec::new();
    }
    let rule = |from: String, ports: &[(u16, &str)], comment: &str| ForwardRule {
        from,
        to: "0.0.0.0/0".to_owned(),
        ports: Some(ports.iter().map(|(port, transport)| (*port, (*transport).to_owned())).collect()),
        comment: comment.to_owned(),
    };
    let mut rules = vec![rule(platform.private_network.to_string(), &PORTS, "egress of the private network")];
    if let Some(port) = mail_port(platform) {
        let ports = [(port, "tcp")];
        let apps = platform.hosts_with(Role::App);
        rules.extend(apps.map(|app| rule(format!("{}/32", app.address), &ports, "mail of the application")));
        let issuer = platform.issuer_host().filter(|issuer| !issuer.has(Role::App));
        rules.extend(issuer.map(|host| rule(format!("{}/32", host.address), &ports, "mail of the issuer")));
    }
    rules
}

/// The port of the application's mail server.
fn mail_port(platform: &Platform) -> Option<u16> {
    platform.settings.app.mail.as_ref().map(|mail| mail.url.port())
}

/// What leaves `host` with its public address.
pub fn masquerade(platform: &Platform, host: &Host) -> Option<Masquerade> {
    let public_address = host.public_address.filter(|_| host.has(Role::Edge))?;
    Some(Masquerade {
        from: platform.private_network.to_string(),
        public_address: public_address.to_string(),
    })
}

/// A port outside [`PORTS`], at which nobody listens by custom.
const UNUSED: u16 = 4444;
/// Milliseconds that a listener outside waits for visitors: longer than a connection takes to count as dropped.
const LEASE_MS: u64 = 2_500;
/// Milliseconds that visitors wait for the listener to start.
const PATIENCE_MS: u64 = 8_000;

/// How often the visits are made before a refusal counts.
const ATTEMPTS: usize = 3;

/// What a private host tries at a client on the internet: ports, each with whether it may get through.
#[derive(Debug, Clone)]
struct Visit {
    host: String,
    ports: Vec<(u16, bool)>,
}

impl Visit {
    /// A port of everybody's, one of nobody's, and that of the mail of the application and the issuer.
    fn of(platform: &Platform, host: &Host) -> Self {
        let mail = mail_port(platform);
        let sends =
            host.has(Role::App) || platform.issuer_host().is_some_and(|issuer| issuer.name == host.name);
        let may = |port| PORTS.contains(&(port, "tcp")) || (mail == Some(port) && sends);
        let ports: BTreeSet<u16> = [443, UNUSED].into_iter().chain(mail).collect();
        Self { host: host.name.to_string(), ports: ports.into_iter().map(|port| (port, may(port))).collect() }
    }
}

/// Visits a client on the internet from every private host: it must see the edge's address and no other, and nobody
/// at a port that egress does not allow.
fn through_the_edge_alone(platform: &Platform) -> Check {
    let edge = platform.edge().public_address.map(IpAddr::from);
    let visits: Vec<Visit> = bastion::private_hosts(platform).map(|host| Visit::of(platform, host)).collect();
    let claim = "private hosts reach the internet through the edge alone, and only at the ports of egress";
    Check::new("egress/through-the-edge-alone", NAME, None, claim, move |field| {
        let visits = visits.clone();
        async move {
            let outside = field.interface_addresses(&Vantage::Internet, Addresses {}).await?;
            let Some(client) = outside.into_iter().find(|a| a.address.is_ipv4() && a.is_public()) else {
                let reason = "the client on the internet has no public address that hosts could visit";
                return Err(Failure::Impossible(reason.to_owned()));
            };
            for _ in 1..ATTEMPTS {
                let (reached, seen) = make(&visits, &field, client.address).await?;
                // A host that was slow to start found the listener gone, which says nothing about the way out.
                if !reached.iter().any(|(_, reached)| reached.contains(&Reach::Refused)) {
                    return judge_visits(&reached, &seen, edge);
                }
            }
            let (reached, seen) = make(&visits, &field, client.address).await?;
            judge_visits(&reached, &seen, edge)
        }
    })
}

/// Lets a client on the internet listen at `address` while every host visits it.
async fn make(
    visits: &[Visit],
    field: &Arc<Field>,
    address: IpAddr,
) -> Result<(Vec<(Visit, Vec<Reach>)>, Visits), Failure> {
    let ports: BTreeSet<u16> = visits.iter().flat_map(|visit| &visit.ports).map(|(port, _)| *port).collect();
    let listener = ListenBriefly { address, ports: ports.into_iter().collect(), lease_ms: LEASE_MS };
    let mut made = JoinSet::new();
    for visit in visits.iter().cloned() {
        let field = Arc::clone(field);
        made.spawn(async move {
            let targets = visit.ports.iter().map(|(port, _)| (address, *port)).collect();
            let connect = Connect { patience_ms: PATIENCE_MS, ..Connect::to(targets) };
            let reached = field.connect_all(&Vantage::host(&visit.host), connect).await;
            reached.map(|reached| (visit, reached))
        });
    }
    let seen = field.listen_briefly(&Vantage::Internet, listener).await?;
    let reached = made.join_all().await.into_iter().collect::<Result<_, _>>()?;
    Ok((reached, seen))
}

fn judge_visits(
    reached: &[(Visit, Vec<Reach>)],
    seen: &Visits,
    edge: Option<IpAddr>,
) -> Result<Evidence, Failure> {
    for (visit, reached) in reached {
        judge_visit(visit, reached)?;
    }
    let ports = reached.iter().flat_map(|(visit, _)| &visit.ports);
    judge_visitors(seen, edge, &ports.filter(|(_, may)| *may).map(|(port, _)| *port).collect())
}

fn judge_visit(visit: &Visit, reached: &[Reach]) -> Result<(), Failure> {
    let host = &visit.host;
    if reached.len() != visit.ports.len() {
        return refuted(format!("not proven: {host} did not try everything"));
    }
    for ((port, may), reach) in visit.ports.iter().zip(reached) {
        match (may, reach) {
            (true, Reach::Open) => {}
            (true, closed) => {
                return refuted(format!("{host} found port {port} of a client on the internet {closed}"));
            }
            (false, Reach::Open) => {
                return refuted(format!("{host} reached port {port} of a client on the internet"));
            }
            (false, _) => {}
        }
    }
    Ok(())
}

fn judge_visitors(seen: &Visits, edge: Option<IpAddr>, ports: &BTreeSet<u16>) -> Result<Evidence, Failure> {
    if let Some((port, reason)) = seen.taken.first() {
        return Err(Failure::Impossible(format!("the client cannot listen at port {port}: {reason}")));
    }
    match seen.visitors.iter().find(|(port, from)| !ports.contains(port) || Some(*from) != edge) {
        Some((port, from)) => refuted(format!("a client on the internet saw {from} at port {port}")),
        None if seen.visitors.is_empty() => refuted("not proven: nobody came"),
        None => {
            let some = if ports.len() == 1 { "port" } else { "ports" };
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            let ports = ports.join(" and ");
            Ok(format!("a client on the internet saw the edge's address alone, at {some} {ports} alone"))
        }
    }
}

fn no_other_way_out(platform: &Platform, host: &Host) -> Check {
    let name = host.name.to_string();
    let edge = platform.edge().address.to_string();
    let own = host.public_address.map(IpAddr::from);
    let is_edge = host.has(Role::Edge);
    let claim = match own {
        Some(_) => "it has no public address but its own",
        None => "it has no public address, and no gateway but the edge",
    };
    Check::new("egress/no-other-way-out", NAME, Some(&host.name.to_string()), claim, move |field| {
        let (name, edge) = (name.clone(), edge.clone());
        async move {
            let addresses = field.addresses(&name).await?;
            if let Some(other) = addresses.iter().find(|a| a.is_public() && Some(a.address) != own) {
                return refuted(format!("{} has {}", other.interface, other.address));
            }
            if is_edge {
                return Ok("no other public address".to_owned());
            }
            let routes = output(&field, &name, &["ip", "-4", "route", "show"]).await?;
            let routes = routes + &output(&field, &name, &["ip", "-6", "route", "show", "default"]).await?;
            judge_routes(&routes, &edge)
        }
    })
}

fn judge_routes(routes: &str, edge: &str) -> Result<Evidence, Failure> {
    let gateway = |route: &str| route.split_once(" via ")?.1.split(' ').next().map(str::to_owned);
    let foreign = |route: &&str| match gateway(route) {
        Some(gateway) => gateway != edge,
        None => route.starts_with("default"),
    };
    if let Some(route) = routes.lines().find(foreign) {
        return refuted(format!("it has the route `{}`", route.trim()));
    }
    match routes.lines().find(|route| route.starts_with("default")) {
        Some(_) => Ok(format!("no public address; every route beyond its network leads to {edge}")),
        None => refuted("it has no default route"),
    }
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
        assert_eq!(
            (rules[0].from.as_str(), rules.len()),
            ("10.0.0.0/24", 1),
            "no mail without a mail server"
        );
        assert!(forward(&fixture.platform, fixture.host("db")).is_empty());
        assert_eq!(masquerade(&fixture.platform, fixture.host("db")), None);
        let masquerade = masquerade(&fixture.platform, fixture.host("edge")).unwrap();
        assert_eq!(masquerade.public_address, "198.51.100.10");
    }

    #[test]
    fn another_gateway_is_found() {
        let good =
            "default via 10.0.0.10 dev eth0 \n10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.30\n";
        assert!(judge_routes(good, "10.0.0.10").is_ok());
        for other in
            ["default via 10.0.0.1 dev eth0", "default dev ppp0", "9.9.9.0/24 via 10.0.0.20 dev eth0"]
        {
            assert!(judge_routes(&format!("{good}{other}\n"), "10.0.0.10").is_err(), "{other}");
        }
        assert!(judge_routes("10.0.0.0/24 dev eth0 proto kernel\n", "10.0.0.10").is_err());
    }

    #[test]
    fn the_port_of_mail_is_for_the_application_and_the_issuer_alone() {
        let text = "[app.mail]\nurl = 'smtps://mail.example'\nfrom = 'a@shop.example'\n";
        let platform = include_str!("../../../platform.toml").to_owned() + text;
        let platform = Platform::parse(&platform, "platform.toml").unwrap();
        let of = |host| Visit::of(&platform, platform.host(host).unwrap());
        assert_eq!(of("app").ports, [(443, true), (465, true), (UNUSED, false)]);
        assert_eq!(of("db").ports, [(443, true), (465, false), (UNUSED, false)]);
        let rules = forward(&platform, platform.edge());
        assert_eq!(of("identity").ports, of("app").ports);
        let from: Vec<&str> = rules.iter().map(|rule| rule.from.as_str()).collect();
        assert_eq!(from, ["10.0.0.0/24", "10.0.0.20/32", "10.0.0.50/32"]);
        assert_eq!(rules[1].ports, Some(vec![(465, "tcp".to_owned())]));
        let through = [Reach::Open, Reach::Open, Reach::Dropped];
        assert!(judge_visit(&of("app"), &through).is_ok());
        assert!(judge_visit(&of("db"), &through).is_err());
        assert!(judge_visit(&of("app"), &[Reach::Open, Reach::Dropped, Reach::Dropped]).is_err());
    }

    #[test]
    fn a_way_out_that_is_too_wide_or_not_the_edges_is_found() {
        let fixture = Fixture::lab();
        let db = Visit::of(&fixture.platform, fixture.host("db"));
        assert!(judge_visit(&db, &[Reach::Open, Reach::Dropped]).is_ok());
        assert!(judge_visit(&db, &[Reach::Open, Reach::Open]).is_err());
        assert!(judge_visit(&db, &[Reach::Dropped, Reach::Dropped]).is_err());
        assert!(judge_visit(&db, &[Reach::Open]).is_err());
        let edge: IpAddr = "198.51.100.10".parse().unwrap();
        let visits = |visitors| Visits { visitors, taken: vec![] };
        let judge = |visitors| judge_visitors(&visits(visitors), Some(edge), &BTreeSet::from([443]));
        assert!(judge(vec![(443, edge)]).is_ok_and(|evidence| evidence.ends_with("at port 443 alone")));
        assert!(judge(vec![(443, edge), (UNUSED, edge)]).is_err());
        assert!(judge(vec![(443, "10.0.0.30".parse().unwrap())]).is_err());
        assert!(judge(vec![]).is_err());
    }
}
