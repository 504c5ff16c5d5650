//! What of a lab runs at present.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Serialize;

use crate::lab::Lab;
use crate::network;

/// A lab and its machines, as they are now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabStatus {
    /// Name of the lab.
    pub name: String,
    /// Domain of its world.
    pub domain: String,
    /// Hosts in the order of the description, then the world's servers.
    pub machines: Vec<MachineStatus>,
}

/// One machine of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineStatus {
    /// Name of the host, or `cdn`, `acme` or `providers`.
    pub name: String,
    /// Its addresses, public ones first.
    pub addresses: Vec<Ipv4Addr>,
    /// Whether it runs.
    pub running: bool,
}

impl Lab {
    /// The lab's machines and whether they run.
    #[must_use]
    pub fn status(&self) -> LabStatus {
        let places = network::places(&self.spec);
        let machines = self
            .machines()
            .iter()
            .map(|machine| MachineStatus {
                name: machine.name.to_owned(),
                addresses: places
                    .iter()
                    .filter(|place| place.name == machine.name)
                    .flat_map(|place| &place.links)
                    .flat_map(|link| link.addresses.iter().map(Ipv4Net::addr))
                    .collect(),
                running: machine.identity().leader().is_some(),
            })
            .collect();
        LabStatus { name: self.spec.name.clone(), domain: self.spec.domain.clone(), machines }
    }
}
