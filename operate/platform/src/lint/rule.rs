//! What a rule is, and what it finds.

use crate::{Location, Platform};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It works, and costs something.
    Warning,
    /// It breaks a property of the platform; `up` and `apply` refuse.
    Error,
}

impl Severity {
    /// The severity as it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "number")]
pub enum Origin {
    /// Row of the compatibility matrix, from 1.
    Row(u8),
    /// What the reference left out or what has changed since; a row of `docs/differences.md`.
    Difference(u8),
    /// What the platform itself promises.
    Design,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Row(number) => write!(f, "row {number}"),
            Origin::Difference(number) => write!(f, "difference {number}"),
            Origin::Design => f.write_str("design"),
        }
    }
}

/// One thing that does not go together, in general.
pub struct Rule {
    /// Stable name.
    pub id: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// How bad it is.
    pub severity: Severity,
    /// Why, in one sentence.
    pub reason: &'static str,
    /// What to do, in one sentence.
    pub fix: &'static str,
    pub(super) find: fn(&Platform) -> Vec<Spot>,
}

/// A key that breaks a rule.
pub(super) struct Spot {
    /// Dotted path of the key.
    pub(super) key: String,
    /// What is the case there.
    pub(super) what: String,
}

impl Spot {
    pub(super) fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into() }
    }
}

/// The spot at `key`, if `broken`.
pub(super) fn spot_if(broken: bool, key: &str, what: impl FnOnce() -> String) -> Vec<Spot> {
    if broken { vec![Spot::new(key, what())] } else { Vec::new() }
}

/// One thing that does not go together in a platform file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule that it breaks.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where the rule comes from.
    pub origin: Origin,
    /// What is the case.
    pub what: String,
    /// Why it matters, in one sentence.
    pub reason: &'static str,
    /// What to do, in one sentence.
    pub fix: &'static str,
    /// Dotted path of the key.
    pub key: String,
    /// The file.
    pub path: PathBuf,
    /// Where the key stands, or the table it would stand in; none if the file has neither.
    pub location: Option<Location>,
}

impl Rule {
    /// What of `platform` breaks the rule.
    pub fn check(&self, platform: &Platform) -> Vec<Finding> {
        (self.find)(platform).into_iter().map(|spot| self.finding(platform, spot)).collect()
    }

    fn finding(&self, platform: &Platform, spot: Spot) -> Finding {
        Finding {
            rule: self.id,
            severity: self.severity,
            origin: self.origin,
            what: spot.what,
            reason: self.reason,
            fix: self.fix,
            location: nearest_location(platform, &spot.key),
            key: spot.key,
            path: platform.source.clone(),
        }
    }
}

/// Where the key stands, or what holds it.
fn nearest_location(platform: &Platform, key: &str) -> Option<Location> {
    std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(parent, _)| parent))
        .find_map(|key| platform.location(key))
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(location) = self.location {
            write!(f, ":{location}")?;
        }
        writeln!(f, ": {} {}: {}", self.severity, self.rule, self.what)?;
        write!(f, "  why: {}\n  fix: {}", self.reason, self.fix)
    }
}
