//! The audit log of an organization.

use foundation::auth::scope::Scope;

/// Searching, exporting and verifying it.
pub const READ: Scope = Scope::read("audit");
