//! The field: where probes are made from.

/// A place to probe from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vantage {
    /// The operator's machine.
    Operator,
    /// A client on the internet.
    Internet,
    /// A second client on the internet, with another address.
    AnotherClient,
    /// The CDN's own range.
    Cdn,
    /// A host, by name.
    Host(String),
}

/// All places that probes can be made from.
#[derive(Debug)]
pub struct Field {}
