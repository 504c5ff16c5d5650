//! Lint: the reference's compatibility matrix as rules.
//!
//! The parser refuses what contradicts itself; lint names what is well-formed and does not go together. A rule is a
//! row of a table with one small function; [`rules`] is every rule there is, and `docs/compatibility.md` says for each
//! row of the matrix which rule, live check or page covers it.

mod app;
mod authentik;
mod edge;
mod identity;
mod issuer;
mod matrix;
mod postgres;
mod rule;
#[cfg(test)]
mod tests;
mod valkey;

pub use matrix::{ROWS, Row, compatibility_page};
pub use rule::{Finding, Origin, Rule, Severity};

use crate::Platform;

/// Every rule.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [
        edge::RULES,
        postgres::RULES,
        valkey::RULES,
        app::RULES,
        identity::RULES,
        issuer::RULES,
        authentik::RULES,
    ]
    .into_iter()
    .flatten()
}

/// What of the platform does not go together: the worst first, then in the file's order.
pub fn lint(platform: &Platform) -> Vec<Finding> {
    let mut findings: Vec<Finding> = rules().flat_map(|rule| rule.check(platform)).collect();
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.location, finding.rule));
    findings
}
