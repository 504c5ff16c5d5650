//! Webhooks: where an organization wants to be told of what happens.

use foundation::auth::scope::Scope;

/// Seeing endpoints and deliveries.
pub const READ: Scope = Scope::read("webhooks");
/// Making, changing and deleting endpoints; sending again.
pub const WRITE: Scope = Scope::write("webhooks");
