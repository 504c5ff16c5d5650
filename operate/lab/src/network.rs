//! Namespaces, bridges and cables: the lab's internet, its private network, and the way to the real internet.
//!
//! Both networks are bridges in namespaces of their own. The machine has one interface in the lab's internet, which makes
//! it the operator's place and the router, and none in the private network.

use std::net::Ipv4Addr;
use std::path::Path;

use ipnet::Ipv4Net;

use crate::addresses::Addresses;
use crate::command::{answers_yes, run, run_with_input};
use crate::error::Result;
use crate::paths;
use crate::providers;
use crate::spec::LabSpec;

const BRIDGE: &str = "bridge";
/// Largest packet on an Ethernet.
const ETHERNET_MTU: u32 = 1500;

/// A network of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment {
    Internet,
    Private,
}

/// One end of a cable: an interface of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) interface: &'static str,
    pub(crate) segment: Segment,
    /// The first one is the source of what the place sends.
    pub(crate) addresses: Vec<Ipv4Net>,
}

/// Something with a network namespace and cables: a host, the CDN, a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) links: Vec<Link>,
    pub(crate) default_route: Ipv4Addr,
    /// Where it sends what is for the private network, if it lies outside: to the edge, as an attacker next to it
    /// would. The edge must not pass it on, and none of it leaves the lab.
    pub(crate) way_in: Option<(Ipv4Net, Ipv4Addr)>,
}

impl Link {
    /// Hardware address of the interface: the same after each start, as a server's is, so that its neighbours still know
    /// it. Of the range for local use.
    fn hardware_address(&self) -> String {
        let [a, b, c, d] = self.addresses.first().map_or([0; 4], |network| network.addr().octets());
        format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    }
}

impl Segment {
    const ALL: [Self; 2] = [Self::Internet, Self::Private];

    fn name(self) -> &'static str {
        match self {
            Self::Internet => "internet",
            Self::Private => "private",
        }
    }
}

/// Name of the network namespace of `place`.
pub(crate) fn namespace(lab: &str, place: &str) -> String {
    format!("bastide-{lab}-{place}")
}

/// The machine's interface in the lab's internet.
pub(crate) fn operator_interface(lab: &str) -> String {
    format!("bs-{lab}")
}

/// Every place of the lab: its hosts and the world.
pub(crate) fn places(spec: &LabSpec) -> Vec<Place> {
    let addresses = Addresses::of(spec.public_network);
    let edge = spec.gateway().private_address;
    let public = |address| Ipv4Net::new(address, spec.public_network.prefix_len()).expect("a prefix length");
    let private =
        |address| Ipv4Net::new(address, spec.private_network.prefix_len()).expect("a prefix length");
    let internet = |interface, addresses: &[Ipv4Addr]| Link {
        interface,
        segment: Segment::Internet,
        addresses: addresses.iter().copied().map(public).collect(),
    };
    let inside =
        |interface, address| Link { interface, segment: Segment::Private, addresses: vec![private(address)] };
    let mut places: Vec<Place> = spec
        .hosts
        .iter()
        .map(|host| match host.public_address {
            Some(address) => Place {
                name: host.name.clone(),
                links: vec![internet("eth0", &[address]), inside("eth1", host.private_address)],
                default_route: addresses.operator,
                way_in: None,
            },
            None => Place {
                name: host.name.clone(),
                links: vec![inside("eth0", host.private_address)],
                default_route: edge,
                way_in: None,
            },
        })
        .collect();
    let mut world = vec![
        ("acme", vec![addresses.acme]),
        ("client", vec![addresses.client]),
        ("client2", vec![addresses.client2]),
    ];
    if spec.issuer.is_some() {
        world.push((providers::NAME, vec![addresses.providers]));
    }
    if spec.cdn {
        world.push(("cdn", vec![addresses.cdn, addresses.cdn_egress]));
    }
    places.extend(world.into_iter().map(|(name, addresses_of_place)| Place {
        name: name.to_owned(),
        links: vec![internet("eth0", &addresses_of_place)],
        default_route: addresses.operator,
        way_in: spec.gateway().public_address.map(|edge| (spec.private_network, edge)),
    }));
    places
}

/// Names of all namespaces of the lab.
pub(crate) fn namespaces(spec: &LabSpec) -> Vec<String> {
    Segment::ALL
        .iter()
        .map(|segment| segment.name().to_owned())
        .chain(places(spec).into_iter().map(|place| place.name))
        .map(|place| namespace(&spec.name, &place))
        .collect()
}

/// Makes both networks and the operator's interface; what is there already stays.
pub(crate) fn ensure_segments(spec: &LabSpec, mtu: u32) -> Result<()> {
    for segment in Segment::ALL {
        let namespace = namespace(&spec.name, segment.name());
        ensure_namespace(&namespace)?;
        if !has_interface(Some(&namespace), BRIDGE) {
            batch(
                &namespace,
                &format!("link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n"),
            )?;
        }
        batch(&namespace, &format!("link set lo up\nlink set {BRIDGE} mtu {mtu} up\n"))?;
    }
    ensure_operator_interface(spec, mtu)
}

/// Makes the namespace of `place` and its cables; what is there already stays.
pub(crate) fn ensure_place(spec: &LabSpec, place: &Place, mtu: u32) -> Result<()> {
    let namespace = namespace(&spec.name, &place.name);
    ensure_namespace(&namespace)?;
    let mut commands = "link set lo up\n".to_owned();
    for link in &place.links {
        ensure_cable(spec, &namespace, link, &place.name, mtu)?;
        for address in &link.addresses {
            commands += &format!("address replace {address} broadcast + dev {}\n", link.interface);
        }
        commands += &format!("link set {} up\n", link.interface);
    }
    commands += &format!("route replace default via {}\n", place.default_route);
    if let Some((network, edge)) = place.way_in {
        commands += &format!("route replace {network} via {edge}\n");
    }
    batch(&namespace, &commands)
}

/// Removes a namespace, and with it its interfaces and the far ends of their cables.
///
/// The kernel takes a namespace apart some time after its name is gone, and until then it would forward packets.
pub(crate) fn remove_namespace(namespace: &str) -> Result<()> {
    let file = Path::new(paths::NAMESPACES).join(namespace);
    if !file.exists() {
        return Ok(());
    }
    if is_namespace(&file) {
        run(
            "cut a network namespace off",
            "ip",
            &["-n", namespace, "link", "set", "group", "default", "down"],
        )?;
        run("remove a network namespace", "ip", &["netns", "delete", namespace])?;
    }
    paths::remove(&file)
}

/// Removes the machine's interface in the lab's internet.
pub(crate) fn remove_operator_interface(lab: &str) -> Result<()> {
    remove_interface(None, &operator_interface(lab))
}

/// Largest packet that also passes the machine's uplink.
pub(crate) fn mtu(uplink: &str) -> u32 {
    let path = format!("/sys/class/net/{uplink}/mtu");
    std::fs::read_to_string(path)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .map_or(ETHERNET_MTU, |mtu: u32| mtu.min(ETHERNET_MTU))
}

/// Whether all namespaces of the lab and the operator's interface are there.
pub(crate) fn is_complete(spec: &LabSpec) -> bool {
    has_interface(None, &operator_interface(&spec.name))
        && namespaces(spec)
            .iter()
            .all(|namespace| is_namespace(&Path::new(paths::NAMESPACES).join(namespace)))
}

/// Blocks all packets between the addresses of `one` and those of `other`, in both networks. The hosts see packets
/// vanish, as they would behind a broken switch.
pub(crate) fn partition(spec: &LabSpec, one: &Place, other: &Place) -> Result<()> {
    for segment in Segment::ALL {
        let mut rules = "add table bridge partition\n\
            add chain bridge partition forward { type filter hook forward priority 0; policy accept; }\n"
            .to_owned();
        for (from, to) in [(one, other), (other, one)] {
            for source in addresses_in(from, segment) {
                for destination in addresses_in(to, segment) {
                    rules += &format!(
                        "add rule bridge partition forward ip saddr {source} ip daddr {destination} drop\n"
                    );
                }
            }
        }
        nft_in(&namespace(&spec.name, segment.name()), "partition the lab's network", &rules)?;
    }
    Ok(())
}

/// Ends every partition.
pub(crate) fn heal(spec: &LabSpec) -> Result<()> {
    for segment in Segment::ALL {
        // Adding what may be there makes deleting it always possible.
        let rules = "add table bridge partition\ndelete table bridge partition\n";
        nft_in(&namespace(&spec.name, segment.name()), "heal the lab's network", rules)?;
    }
    Ok(())
}

fn addresses_in(place: &Place, segment: Segment) -> impl Iterator<Item = Ipv4Addr> {
    place
        .links
        .iter()
        .filter(move |link| link.segment == segment)
        .flat_map(|link| link.addresses.iter().map(Ipv4Net::addr))
}

fn nft_in(namespace: &str, attempted: &str, rules: &str) -> Result<()> {
    run_with_input(attempted, "ip", &["netns", "exec", namespace, "nft", "-f", "-"], rules).map(drop)
}

fn ensure_operator_interface(spec: &LabSpec, mtu: u32) -> Result<()> {
    let attempted = "connect this machine to the lab's internet";
    let addresses = Addresses::of(spec.public_network);
    let interface = operator_interface(&spec.name);
    let internet = namespace(&spec.name, Segment::Internet.name());
    if !has_interface(None, &interface) {
        let mtu = mtu.to_string();
        #[rustfmt::skip]
        run(attempted, "ip", &[
            "link", "add", "name", &interface, "mtu", &mtu,
            "type", "veth", "peer", "name", "operator", "netns", &internet, "mtu", &mtu,
        ])?;
    }
    disable_ipv6(None, &interface)?;
    batch(&internet, &format!("link set operator master {BRIDGE} up\n"))?;
    let address = format!("{}/{}", addresses.operator, spec.public_network.prefix_len());
    run(attempted, "ip", &["address", "replace", &address, "broadcast", "+", "dev", &interface])?;
    run(attempted, "ip", &["link", "set", &interface, "up"]).map(drop)
}

fn ensure_cable(spec: &LabSpec, place: &str, link: &Link, port: &str, mtu: u32) -> Result<()> {
    let segment = namespace(&spec.name, link.segment.name());
    if !has_interface(Some(place), link.interface) {
        // The place's earlier cable may still be in the bridge.
        remove_interface(Some(&segment), port)?;
        let mtu = mtu.to_string();
        #[rustfmt::skip]
        run("lay a cable of the lab's network", "ip", &[
            "link", "add", "name", link.interface, "address", &link.hardware_address(), "netns", place, "mtu", &mtu,
            "type", "veth", "peer", "name", port, "netns", &segment, "mtu", &mtu,
        ])?;
    }
    batch(&segment, &format!("link set {port} master {BRIDGE} up\n"))
}

fn ensure_namespace(name: &str) -> Result<()> {
    let file = Path::new(paths::NAMESPACES).join(name);
    if !is_namespace(&file) {
        // A run that was killed may have left the name without the namespace.
        paths::remove(&file)?;
        run("make a network namespace", "ip", &["netns", "add", name])?;
    }
    // Interfaces made from now on have no IPv6: the lab's networks are IPv4, and nothing may slip past them.
    disable_ipv6(Some(name), "default")
}

/// Whether `file` is a network namespace, and not what is left of one.
fn is_namespace(file: &Path) -> bool {
    /// The kernel's number for its file system of namespaces.
    const NSFS_MAGIC: u64 = 0x6e73_6673;
    rustix::fs::statfs(file).is_ok_and(|status| u64::try_from(status.f_type) == Ok(NSFS_MAGIC))
}

fn disable_ipv6(namespace: Option<&str>, scope: &str) -> Result<()> {
    let script = r#"file=/proc/sys/net/ipv6/conf/$1/disable_ipv6; [ ! -e "$file" ] || echo 1 >"$file""#;
    let shell = ["sh", "-c", script, "sh", scope];
    let attempted = "turn IPv6 off in the lab's network";
    match namespace {
        None => run(attempted, "sh", &shell[1..]),
        Some(name) => run(attempted, "ip", &[&["netns", "exec", name], shell.as_slice()].concat()),
    }
    .map(drop)
}

/// Removes an interface and the far end of its cable; that there is none is no error. The kernel removes the cables of
/// a namespace that is gone a while after it, so that one may vanish meanwhile.
fn remove_interface(namespace: Option<&str>, interface: &str) -> Result<()> {
    let namespace_option = namespace.map_or(Vec::new(), |name| vec!["-n", name]);
    let delete = [namespace_option.as_slice(), &["link", "delete", interface]].concat();
    if !has_interface(namespace, interface) {
        return Ok(());
    }
    match run("remove a network interface", "ip", &delete) {
        Err(_) if !has_interface(namespace, interface) => Ok(()),
        other => other.map(drop),
    }
}

fn has_interface(namespace: Option<&str>, interface: &str) -> bool {
    match namespace {
        None => Path::new("/sys/class/net").join(interface).exists(),
        Some(name) => answers_yes("ip", &["-n", name, "link", "show", "dev", interface]),
    }
}

fn batch(namespace: &str, commands: &str) -> Result<()> {
    let attempted = format!("set up network namespace {namespace}");
    run_with_input(&attempted, "ip", &["-n", namespace, "-batch", "-"], commands).map(drop)
}
