//! The host as the agent sees it: what was read once and is shared by every resource.

/// The host that the agent runs on.
///
/// Reads that many resources need (package database, units, accounts, PostgreSQL's catalogue) happen once and are
/// forgotten when a change may have made them old.
#[derive(Debug, Default)]
pub struct Host {}
