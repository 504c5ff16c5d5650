//! How single values are read.

use super::nearest::nearest;
use super::section::Entry;
use crate::flow::{Port, Transport};
use crate::host::HostName;
use crate::version::Version;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use toml::de::DeValue;
use toml::value::Date;

/// What can stand behind a key.
pub(super) trait Value: Sized {
    /// Reads the value, or reports what is wrong with it.
    fn read(entry: &Entry<'_>) -> Option<Self>;
}

/// A value out of a few with names.
pub(super) trait Choice: Copy + 'static {
    /// Each with its name.
    const NAMES: &'static [(&'static str, Self)];
}

impl<T: Choice> Value for T {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        let text = entry.text("a string")?;
        let found = T::NAMES.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names = T::NAMES.iter().map(|(name, _)| *name);
            let guess = nearest(text, names.clone()).map(|name| format!("did you mean \"{name}\"? "));
            let list = names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            let help = format!("{}expected one of {list}", guess.unwrap_or_default());
            entry.reject(format!("`{}` cannot be \"{text}\"", entry.key), help);
        }
        found
    }
}

impl Value for String {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        let text = entry.text("a string")?;
        if text.trim().is_empty() {
            entry.reject(format!("`{}` is empty", entry.key), None);
            return None;
        }
        Some(text.to_owned())
    }
}

impl Value for PathBuf {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        String::read(entry).map(PathBuf::from)
    }
}

impl Value for bool {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        if let DeValue::Boolean(value) = entry.value {
            return Some(*value);
        }
        entry.mismatch("true or false");
        None
    }
}

/// Reads a whole number of `least..=most`.
fn integer(entry: &Entry<'_>, least: i64, most: i64) -> Option<i64> {
    let DeValue::Integer(digits) = entry.value else {
        entry.mismatch("an integer");
        return None;
    };
    let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
    let fits = number.filter(|number| (least..=most).contains(number));
    if fits.is_none() {
        let help = format!("expected an integer from {least} to {most}");
        entry.reject(format!("`{}` cannot be {digits}", entry.key), help);
    }
    fits
}

impl Value for u8 {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        integer(entry, 0, u8::MAX.into())?.try_into().ok()
    }
}

impl Value for u16 {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        integer(entry, 0, u16::MAX.into())?.try_into().ok()
    }
}

impl Value for u32 {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        integer(entry, 0, u32::MAX.into())?.try_into().ok()
    }
}

impl Value for Ipv4Addr {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        let text = entry.text("an IPv4 address in quotes")?;
        let address = text.parse().ok();
        if address.is_none() {
            entry.reject(
                format!("\"{text}\" is no IPv4 address"),
                "expected such as: \"10.0.0.10\"".to_owned(),
            );
        }
        address
    }
}

impl Value for Ipv4Net {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        let text = entry.text("a network in quotes")?;
        let Ok(network) = text.parse::<Ipv4Net>() else {
            let help = "expected address/length, such as: \"10.0.0.0/24\"".to_owned();
            entry.reject(format!("\"{text}\" is no IPv4 network"), help);
            return None;
        };
        exact(entry, network)
    }
}

/// The network, unless its address is that of a host in it.
fn exact(entry: &Entry<'_>, network: Ipv4Net) -> Option<Ipv4Net> {
    if network.trunc() == network {
        return Some(network);
    }
    let help = format!("the network is {0}; for one address write {1}/32", network.trunc(), network.addr());
    entry.reject(format!("\"{network}\" is an address inside a network"), help);
    None
}

/// Addresses that something may come from: a network, or a single address.
pub(super) struct Source(pub(super) Ipv4Net);

impl Value for Source {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        let text = entry.text("an address or network in quotes")?;
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self(Ipv4Net::from(address)));
        }
        if let Ok(network) = text.parse::<Ipv4Net>() {
            return exact(entry, network).map(Self);
        }
        let help = "expected such as: \"192.0.2.7\" or \"192.0.2.0/24\"".to_owned();
        entry.reject(format!("\"{text}\" is no IPv4 address or network"), help);
        None
    }
}

impl Value for HostName {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        let text = entry.text("a name in quotes")?;
        let name = HostName::parse(text);
        if name.is_none() {
            entry.reject(format!("\"{text}\" cannot be a name"), NAME_HELP.to_owned());
        }
        name
    }
}

/// What a name of a platform or host may be.
pub(super) const NAME_HELP: &str =
    "expected a lower-case letter, then lower-case letters, digits and inner hyphens, at most 63 characters";

impl Value for Version {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        let text = entry.text("a version in quotes")?;
        let version = Version::parse(text);
        if version.is_none() {
            entry.reject(format!("\"{text}\" is no version"), "expected such as: \"1.26.1\"".to_owned());
        }
        version
    }
}

impl Value for Date {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        let date = match entry.value {
            DeValue::Datetime(moment) if moment.time.is_none() => moment.date,
            _ => None,
        };
        if date.is_none() {
            entry.mismatch("a day without quotes, such as 2027-05-01");
        }
        date
    }
}

impl Value for Port {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        let help = "expected such as: 443 or \"443/udp\"".to_owned();
        let (text, number, transport) = match entry.value {
            DeValue::Integer(digits) => (digits.to_string(), integer(entry, 1, 65535)?, Transport::Tcp),
            DeValue::String(text) => {
                let (number, transport) = match text.split_once('/') {
                    Some((number, "udp")) => (number, Transport::Udp),
                    Some((number, "tcp")) => (number, Transport::Tcp),
                    Some(_) => ("", Transport::Tcp),
                    None => (text.as_ref(), Transport::Tcp),
                };
                (text.to_string(), number.parse().unwrap_or(0), transport)
            }
            _ => {
                entry.mismatch("a port");
                return None;
            }
        };
        let number = u16::try_from(number).ok().filter(|number| *number > 0);
        if number.is_none() {
            entry.reject(format!("\"{text}\" is no port"), help);
        }
        Some(Port { number: number?, transport })
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        let items: Vec<Option<T>> = entry.items()?.iter().map(T::read).collect();
        items.into_iter().collect()
    }
}

/// A string, number or boolean, as text.
pub(super) struct Scalar(pub(super) String);

impl Value for Scalar {
    fn read(entry: &Entry<'_>) -> Option<Self> {
        match entry.value {
            DeValue::String(text) => Some(Self(text.to_string())),
            DeValue::Integer(digits) => Some(Self(digits.to_string())),
            DeValue::Float(digits) => Some(Self(digits.to_string())),
            DeValue::Boolean(value) => Some(Self(if *value { "on" } else { "off" }.to_owned())),
            _ => {
                entry.mismatch("a string, a number or true or false");
                None
            }
        }
    }
}
