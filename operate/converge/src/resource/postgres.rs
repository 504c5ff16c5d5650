//! What is inside PostgreSQL: roles, databases, extensions, settings.
//!
//! A server that is not there yet is a difference when observed and an error when something has to be changed in it.
//! Roles that were made by hand and that no component declares are left alone: without a way past `pg_hba.conf`,
//! which is a file with known content, they cannot log in from anywhere.

mod database;
mod object;
mod role;
mod settings;
mod sql;

pub use database::PostgresDatabase;
pub use object::{PostgresExtension, PostgresObject};
pub use role::PostgresRole;
pub use settings::PostgresSettings;

use crate::difference::Difference;
use crate::facts::postgres::{Document, Presence};
use crate::host::Host;
use crate::resource::{Observed, ResourceError};
use std::sync::Arc;

/// The server's content, or the difference that it is not there.
fn document(host: &mut Host) -> Result<Result<Arc<Document>, Observed>, ResourceError> {
    Ok(match host.facts.postgres.presence()? {
        Presence::Present(document) => Ok(document),
        Presence::Absent(reason) => Err(absent(&reason)),
    })
}

fn absent(reason: &str) -> Observed {
    Observed::differs(Difference::new(format!("{reason}; will be created")))
}

/// The same as asked where there are no lines, different by them otherwise.
fn observed(what: &str, lines: Vec<String>, fingerprint: impl Into<String>) -> Observed {
    if lines.is_empty() {
        return Observed::same(fingerprint);
    }
    Observed::differs(Difference::with_lines(format!("{what} differs"), lines))
}

#[cfg(test)]
mod tests;
