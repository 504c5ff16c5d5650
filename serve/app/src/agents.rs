//! Agents: programs that act for an organization.

use foundation::auth::scope::Scope;

/// Seeing agents.
pub const READ: Scope = Scope::read("agents");
/// Making, changing and deleting them.
pub const WRITE: Scope = Scope::write("agents");
