//! Networks as people write them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// A network, or an address as the network that holds it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(pub IpNet);

impl TryFrom<String> for Network {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        let network = address.or_else(|_| text.parse::<IpNet>());
        network.map(|network| Self(network.trunc())).map_err(|_| "neither an address nor a network")
    }
}

impl PartialSchema for Network {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A network in CIDR notation, or one address."))
            .format(Some(SchemaFormat::Custom("ip-network".to_owned())))
            .examples([serde_json::Value::from("192.0.2.0/24")])
            .into()
    }
}

impl ToSchema for Network {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses_are_read() {
        let of = |text: &str| Network::try_from(text.to_owned()).map(|network| network.0.to_string());
        for (text, network) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ] {
            assert_eq!(of(text), Ok(network.to_owned()));
        }
        for bad in ["", "192.0.2", "192.0.2.0/33", "2001:db8::/129", "localhost", "192.0.2.0/24 ", "0/0"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
