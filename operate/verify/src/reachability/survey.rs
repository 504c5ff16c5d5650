//! The survey: every attempt between every two places, all at once.

use super::traffic::{Cell, Expected, Measured, Traffic};
use super::{tries, vantages};
use crate::probe::{
    Command, Connect, Datagram, ListenBriefly, Reach, Socket, Transport as SocketTransport, Udp, UdpReach,
};
use crate::{Field, ProbeError, Vantage};
use bastide_platform::{Host, Port, Transport};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Milliseconds that a temporary listener stays, and that its visitors keep trying.
const LEASE_MS: u64 = 3_000;

/// Measures all traffic between the places of `field`.
pub async fn survey(field: &Field) -> Traffic {
    let (sockets, blind) = listeners(field).await;
    let ports = ports(field, &sockets);
    let present: BTreeSet<&Vantage> = field.vantages().collect();
    let from = vantages(&field.platform).into_iter().filter(|vantage| present.contains(vantage));
    let measuring = from.map(|from| measure(field, from, &ports, &sockets));
    let mut cells: Vec<Cell> = join_all(measuring).await.into_iter().flatten().collect();
    visit(field, &mut cells).await;
    Traffic { cells, blind }
}

/// What listens on each host for others than itself, and the hosts that could not say.
async fn listeners(field: &Field) -> (BTreeMap<String, Vec<Socket>>, BTreeMap<String, String>) {
    let asking = field.platform.hosts.iter().map(|host| async {
        let name = host.name.as_str();
        (name.to_owned(), field.listening(name).await)
    });
    let (mut sockets, mut blind) = (BTreeMap::new(), BTreeMap::new());
    for (name, answer) in join_all(asking).await {
        match answer {
            Ok(mut found) => {
                found.retain(|socket| !socket.is_local());
                sockets.insert(name, found);
            }
            Err(error) => {
                blind.insert(name, error.to_string());
            }
        }
    }
    (sockets, blind)
}

/// Every port in any flow and every port that anything listens on, anywhere.
fn ports(field: &Field, sockets: &BTreeMap<String, Vec<Socket>>) -> BTreeSet<Port> {
    let in_flows = field.allowed.iter().map(|allowed| allowed.port);
    in_flows.chain(sockets.values().flatten().map(port_of)).collect()
}

fn port_of(socket: &Socket) -> Port {
    match socket.transport {
        SocketTransport::Tcp => Port::tcp(socket.port),
        SocketTransport::Udp => Port::udp(socket.port),
    }
}

/// Makes every attempt from one place.
async fn measure(
    field: &Field,
    from: Vantage,
    ports: &BTreeSet<Port>,
    sockets: &BTreeMap<String, Vec<Socket>>,
) -> Vec<Cell> {
    let (mut cells, mut untried) = (Vec::new(), Vec::new());
    for host in field.platform.hosts.iter().filter(|host| tries(&field.platform, &from, host)) {
        for address in addresses(&from, host) {
            let obstacle = obstacle(field, &from, host, address).await;
            let group = if obstacle.is_some() { &mut untried } else { &mut cells };
            let name = host.name.as_str();
            group.extend(ports.iter().map(|&port| Cell {
                from: from.clone(),
                to: name.to_owned(),
                address: address.into(),
                port,
                listener: listener(sockets.get(name).into_iter().flatten(), address, port),
                expected: match field.purpose(&from, name, port) {
                    Some(purpose) => Expected::Open(purpose.to_owned()),
                    None => Expected::Closed,
                },
                measured: Measured::NotTried(obstacle.clone().unwrap_or_default()),
            }));
        }
    }
    let (tcp, udp): (Vec<&mut Cell>, Vec<&mut Cell>) =
        cells.iter_mut().partition(|cell| cell.port.transport == Transport::Tcp);
    tokio::join!(connect(field, &from, tcp), send(field, &from, udp));
    cells.extend(untried);
    cells
}

/// Attempts a TCP connection for each cell.
async fn connect(field: &Field, from: &Vantage, cells: Vec<&mut Cell>) {
    let targets = cells.iter().map(|cell| (cell.address, cell.port.number)).collect();
    let found = field.connect_all(from, Connect::to(targets)).await;
    record(cells, found, |reach| match reach {
        Reach::Open => Measured::Open,
        Reach::Refused => Measured::Refused,
        Reach::Dropped => Measured::Dropped,
        Reach::Unreachable(reason) => Measured::Unreachable(reason),
    });
}

/// Sends a datagram for each cell.
async fn send(field: &Field, from: &Vantage, cells: Vec<&mut Cell>) {
    let targets = cells.iter().map(|cell| (cell.address, cell.port.number)).collect();
    let found = field.udp(from, Udp { targets, datagram: Datagram::Quic, timeout_ms: 1_500 }).await;
    record(cells, found, |reach| match reach {
        UdpReach::Answered(_) => Measured::Open,
        UdpReach::Refused => Measured::Refused,
        UdpReach::Silent => Measured::Dropped,
        UdpReach::Unreachable(reason) => Measured::Unreachable(reason),
    });
}

/// Writes into each cell what was found for it.
fn record<T>(cells: Vec<&mut Cell>, found: Result<Vec<T>, ProbeError>, measured: impl Fn(T) -> Measured) {
    let failure = match found {
        Ok(found) if found.len() == cells.len() => {
            for (cell, found) in cells.into_iter().zip(found) {
                cell.measured = measured(found);
            }
            return;
        }
        Ok(found) => format!("{} answers came back for {} attempts", found.len(), cells.len()),
        Err(error) => error.to_string(),
    };
    for cell in cells {
        cell.measured = Measured::Broken(failure.clone());
    }
}

/// Why nothing may be sent from `from` to `address`; none where it may.
///
/// From outside, a private address is tried only where the packets go to the edge and not to strangers.
async fn obstacle(field: &Field, from: &Vantage, host: &Host, address: Ipv4Addr) -> Option<String> {
    if matches!(from, Vantage::Host(_)) || host.public_address == Some(address) {
        return None;
    }
    let edge = field.platform.edge().public_address.map(|edge| edge.to_string()).unwrap_or_default();
    let argv = ["ip", "-4", "route", "get", &address.to_string()];
    let route = match field.run(from, Command::new(&argv)).await {
        Ok(outcome) => outcome.stdout,
        Err(error) => return Some(error.to_string()),
    };
    let next = route.split_whitespace().skip_while(|word| *word != "via").nth(1);
    (next != Some(edge.as_str())).then(|| {
        format!(
            "from {from}, packets for {address} do not go to the edge ({edge}); none are sent to strangers"
        )
    })
}

/// Proves the paths whose service does not run at present: listens there, and has everybody come who may.
async fn visit(field: &Field, cells: &mut [Cell]) {
    let idle = |cell: &&mut Cell| -> bool {
        matches!(cell.expected, Expected::Open(_))
            && cell.port.transport == Transport::Tcp
            && cell.measured == Measured::Refused
            && cell.listener.is_none()
    };
    let mut receptions: BTreeMap<(String, IpAddr), BTreeSet<u16>> = BTreeMap::new();
    let mut journeys: BTreeMap<Vantage, Vec<&mut Cell>> = BTreeMap::new();
    for cell in cells.iter_mut().filter(idle) {
        receptions.entry((cell.to.clone(), cell.address)).or_default().insert(cell.port.number);
        journeys.entry(cell.from.clone()).or_default().push(cell);
    }
    let receiving = receptions.into_iter().map(|((host, address), ports)| async move {
        let probe = ListenBriefly { address, ports: ports.into_iter().collect(), lease_ms: LEASE_MS };
        let failure = match field.listen_briefly(&Vantage::host(&host), probe).await {
            Ok(visits) => visits.taken.first().map(|(port, reason)| format!("port {port}: {reason}")),
            Err(error) => Some(error.to_string()),
        };
        failure.map(|failure| (host, failure))
    });
    let travelling = journeys.into_iter().map(|(from, cells)| async move {
        let targets = cells.iter().map(|cell| (cell.address, cell.port.number)).collect();
        let probe = Connect { patience_ms: LEASE_MS, ..Connect::to(targets) };
        let found = field.connect_all(&from, probe).await;
        record(cells, found, |reach| match reach {
            Reach::Open => Measured::OpenForVisitor,
            Reach::Refused => Measured::Refused,
            Reach::Dropped => Measured::Dropped,
            Reach::Unreachable(reason) => Measured::Unreachable(reason),
        });
    });
    let (failures, _) = tokio::join!(join_all(receiving), join_all(travelling));
    let failures: BTreeMap<String, String> = failures.into_iter().flatten().collect();
    for cell in cells.iter_mut().filter(idle) {
        if let Some(failure) = failures.get(&cell.to) {
            cell.measured = Measured::Broken(format!("no temporary listener: {failure}"));
        }
    }
}

/// Addresses of `host` that are attempted: all of them from inside, the public one alone from outside where it has
/// one.
fn addresses(from: &Vantage, host: &Host) -> Vec<Ipv4Addr> {
    match (from, host.public_address) {
        (Vantage::Host(_), public) => std::iter::once(host.address).chain(public).collect(),
        (_, Some(public)) => vec![public],
        (_, None) => vec![host.address],
    }
}

fn listener<'a>(sockets: impl Iterator<Item = &'a Socket>, address: Ipv4Addr, port: Port) -> Option<String> {
    let mut there = sockets
        .filter(|socket| port_of(socket) == port)
        .filter(|socket| socket.address.is_unspecified() || socket.address == IpAddr::V4(address));
    there.next().map(|socket| socket.process.clone().unwrap_or_else(|| "a process".to_owned()))
}
