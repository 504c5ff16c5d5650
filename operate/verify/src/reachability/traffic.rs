//! What was measured, beside what the flows say.

use super::name;
use crate::Vantage;
use bastide_platform::Port;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Every connection that was attempted.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// One cell an attempt.
    pub cells: Vec<Cell>,
    /// Hosts that could not say what listens on them, and why.
    pub blind: BTreeMap<String, String>,
}

impl Traffic {
    /// What was measured from one place to one host.
    pub fn between<'a>(&'a self, from: &'a Vantage, to: &'a str) -> impl Iterator<Item = &'a Cell> {
        self.cells.iter().filter(move |cell| cell.from == *from && cell.to == to)
    }
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Where it was made.
    pub from: Vantage,
    /// Name of the host that it was made to.
    pub to: String,
    /// Address that it was made to.
    pub address: IpAddr,
    /// Port that it was made to.
    pub port: Port,
    /// Process that listens there, if one does.
    pub listener: Option<String>,
    /// What the flows say.
    pub expected: Expected,
    /// What happened.
    pub measured: Measured,
}

/// What the flows say of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// It may pass, for this purpose.
    Open(String),
    /// It may not.
    Closed,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measured {
    /// Somebody accepted, or answered the datagram.
    Open,
    /// The path is open: a temporary listener was reached where the service does not run at present.
    OpenForVisitor,
    /// The host itself answered that nobody listens: the firewall let the packet through.
    Refused,
    /// Nothing came back.
    Dropped,
    /// The network said that there is no way there.
    Unreachable(String),
    /// The attempt was not made, for this reason.
    NotTried(String),
    /// The attempt broke on our side.
    Broken(String),
}

/// What an attempt says about the flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Open, as it should be.
    Open,
    /// Closed, as it should be.
    Closed,
    /// Open or reachable, against the flows.
    Leak,
    /// Closed, against the flows.
    Blocked,
    /// Nothing.
    Unknown,
}

impl Cell {
    /// What the attempt says about the flows.
    pub fn verdict(&self) -> Verdict {
        match (&self.expected, &self.measured) {
            (_, Measured::NotTried(_) | Measured::Broken(_)) => Verdict::Unknown,
            (Expected::Open(_), Measured::Open | Measured::OpenForVisitor) => Verdict::Open,
            (Expected::Open(_), Measured::Refused) if self.listener.is_none() && self.is_udp() => {
                Verdict::Open
            }
            // UDP other than QUIC need not answer a stranger's datagram.
            (Expected::Open(_), Measured::Dropped) if self.is_udp() && self.port.number != 443 => {
                Verdict::Unknown
            }
            (Expected::Open(_), _) => Verdict::Blocked,
            (Expected::Closed, Measured::Open | Measured::OpenForVisitor | Measured::Refused) => {
                Verdict::Leak
            }
            (Expected::Closed, Measured::Dropped | Measured::Unreachable(_)) => Verdict::Closed,
        }
    }

    fn is_udp(&self) -> bool {
        self.port.transport == bastide_platform::Transport::Udp
    }

    /// What is wrong, for evidence; none where nothing is.
    pub fn complaint(&self) -> Option<String> {
        let place = format!("{}:{}", self.address, name(self.port));
        if let Measured::Broken(reason) = &self.measured {
            return Some(format!("not proven: {place}: {reason}"));
        }
        match self.verdict() {
            Verdict::Open | Verdict::Closed | Verdict::Unknown => None,
            Verdict::Leak if self.measured == Measured::Refused => Some(format!(
                "{place} is refused by the host, not dropped by the firewall, and no flow allows it"
            )),
            Verdict::Leak => {
                let who = self.listener.as_deref().unwrap_or("somebody");
                Some(format!("{place} is open ({who} answers) and no flow allows it"))
            }
            Verdict::Blocked => Some(format!("{place} {}, and {} needs it", self.obstacle(), self.purpose())),
        }
    }

    fn obstacle(&self) -> String {
        match (&self.measured, &self.listener) {
            (Measured::Refused, Some(process)) => format!("is refused although {process} listens"),
            (Measured::Refused, None) => "is refused, also to a temporary listener".to_owned(),
            (Measured::Unreachable(reason), _) => format!("is unreachable ({reason})"),
            _ => "says nothing".to_owned(),
        }
    }

    fn purpose(&self) -> &str {
        match &self.expected {
            Expected::Open(purpose) => purpose,
            Expected::Closed => "nobody",
        }
    }
}
