//! The platform that tests are made on.

use crate::probe::Trust;
use crate::{Field, Front};
use bastide_platform::{Endpoint, Flow, Platform, Port, Role};
use std::sync::Arc;

/// The lab's own platform file.
pub fn platform() -> Platform {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../platform.toml");
    Platform::load(path).expect("the lab's platform file is valid")
}

/// Flows like the components'.
pub fn flows() -> Vec<Flow> {
    let role = Endpoint::Role;
    let tcp = |from, to, port, purpose: &str| Flow::new(from, to, Port::tcp(port), purpose);
    vec![
        tcp(Endpoint::Cdn, role(Role::Edge), 80, "HTTP"),
        tcp(Endpoint::Cdn, role(Role::Edge), 443, "HTTPS"),
        tcp(Endpoint::Operator, role(Role::Edge), 22, "bastion"),
        tcp(role(Role::Edge), Endpoint::AnyHost, 22, "second hop of the bastion"),
        tcp(role(Role::Edge), role(Role::App), 8080, "blue"),
        tcp(role(Role::Edge), role(Role::App), 8081, "green"),
        tcp(role(Role::Edge), role(Role::Identity), 9000, "issuer"),
        tcp(role(Role::App), role(Role::Db), 6432, "PgBouncer"),
        tcp(role(Role::App), role(Role::Db), 5432, "migrations"),
        tcp(role(Role::App), role(Role::Cache), 6379, "durable"),
        tcp(role(Role::App), role(Role::Cache), 6380, "cache"),
        tcp(role(Role::App), role(Role::Edge), 443, "issuer by its public name"),
        tcp(role(Role::Identity), role(Role::App), 8090, "read-only queries"),
    ]
}

/// A field without places.
pub fn field() -> Field {
    let front =
        Front { address: [127, 0, 0, 1].into(), trust: Trust::Unchecked, origin_trust: Trust::Unchecked };
    Field::new(Arc::new(platform()), flows(), front)
}
