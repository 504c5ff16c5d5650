//! The platform's face to the internet: one address, and exactly the ports of the flows.

use super::COMPONENT;
use crate::probe::{Reach, Scan, Scanned};
use crate::{Check, Failure, Field, Vantage};
use bastide_platform::{Platform, Port};
use futures_util::future::try_join_all;
use std::sync::Arc;

/// All 65,535 TCP ports of the edge's public address, as a client on the internet sees them.
pub(super) fn every_port_of_the_edge(platform: &Platform) -> Check {
    let edge = platform.edge().name.as_str();
    let claim = "of all 65,535 TCP ports of the public address, exactly those of the flows answer";
    let id = format!("{COMPONENT}/every-port-of-the-public-address");
    Check::new(&id, COMPONENT, Some(edge), claim, |field| async move {
        let edge = field.platform.edge();
        let address = edge.public_address.ok_or_else(|| {
            Failure::Impossible(format!("{} has no public address in the platform file", edge.name))
        })?;
        // Where the operator's machine is the only place outside, the ports of the operator's flows answer it too.
        let from = [Vantage::Internet, Vantage::Operator].into_iter().find(|from| field.has(from));
        let from = from.unwrap_or(Vantage::Internet);
        connected(&field, &from).await?;
        let scanned = field.scan(&from, Scan::all(address.into())).await?;
        judge(&field, &from, edge.name.as_str(), &scanned)
    })
}

/// A client that reaches nothing at all would find every port closed.
async fn connected(field: &Field, from: &Vantage) -> Result<(), Failure> {
    match field.connect(from, field.front.address, 443).await? {
        Reach::Open | Reach::Refused => Ok(()),
        other => Err(Failure::Refuted(format!(
            "not proven: the client's silence says nothing, for it does not reach {} port 443 either ({other})",
            field.front.address
        ))),
    }
}

fn judge(field: &Field, from: &Vantage, edge: &str, scanned: &Scanned) -> Result<String, Failure> {
    let allowed = |port: &u16| field.purpose(from, edge, Port::tcp(*port)).is_some();
    let answered = scanned.open.iter().chain(&scanned.refused_ports);
    let leaks: Vec<String> = answered.filter(|port| !allowed(port)).map(u16::to_string).collect();
    if !leaks.is_empty() {
        return Err(Failure::Refuted(format!(
            "no flow allows these ports, and they answer: {}",
            leaks.join(", ")
        )));
    }
    let seen = u32::try_from(scanned.open.len()).unwrap_or(u32::MAX) + scanned.refused;
    if let (Some(reason), 0) = (&scanned.unreachable_reason, scanned.dropped + seen) {
        return Err(Failure::Refuted(format!("not proven: there is no way to the address ({reason})")));
    }
    let open: Vec<String> = scanned.open.iter().map(u16::to_string).collect();
    let open = if open.is_empty() { "none open".to_owned() } else { format!("open: {}", open.join(", ")) };
    let silent = scanned.dropped + scanned.unreachable;
    let seconds = scanned.milliseconds as f64 / 1000.0;
    Ok(format!("from {from}: {open}; {silent} say nothing, asked twice, in {seconds:.1} s"))
}

/// The address of the edge is the only one that the internet could reach.
pub(super) fn one_public_address() -> Check {
    let id = format!("{COMPONENT}/one-public-address");
    Check::new(&id, COMPONENT, None, "no host but the edge has a public address", |field| async move {
        let hosts = field.platform.hosts.iter();
        let found =
            try_join_all(hosts.map(|host| public_addresses(field.clone(), host.name.to_string()))).await?;
        let (edges, others): (Vec<_>, Vec<_>) = found.into_iter().flatten().partition(|(host, _)| {
            field.platform.host(host).is_some_and(|host| host.public_address.is_some())
        });
        let list = |found: Vec<(String, String)>| {
            found
                .into_iter()
                .map(|(host, address)| format!("{host} has {address}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        match others.is_empty() {
            true => Ok(format!("{}; the other hosts have private addresses only", list(edges))),
            false => Err(Failure::Refuted(list(others))),
        }
    })
}

async fn public_addresses(field: Arc<Field>, host: String) -> Result<Vec<(String, String)>, Failure> {
    let addresses = field.addresses(&host).await?;
    let public = addresses.into_iter().filter(|address| address.is_public());
    Ok(public.map(|a| (host.clone(), format!("{} on {}", a.address, a.interface))).collect())
}
