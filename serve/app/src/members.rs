//! The people of an organization, and those who are invited.

use foundation::auth::scope::Scope;

/// Seeing members and invitations.
pub const READ: Scope = Scope::read("members");
/// Inviting, changing roles, removing.
pub const WRITE: Scope = Scope::write("members");
