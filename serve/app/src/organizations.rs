//! Organizations: to each belongs everything else.

use foundation::auth::scope::Scope;

/// Seeing the organization, and exporting it.
pub const READ: Scope = Scope::read("organizations");
/// Changing and deleting it.
pub const WRITE: Scope = Scope::write("organizations");
