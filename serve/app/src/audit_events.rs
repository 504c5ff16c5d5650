//! The audit log of an organization: searched, exported and verified, and changed by nobody. One file an operation.

pub mod export;
pub mod list;
pub mod show;
pub mod verify;

use foundation::auth::scope::Scope;

/// Searching, exporting and verifying it.
pub const READ: Scope = Scope::read("audit");
