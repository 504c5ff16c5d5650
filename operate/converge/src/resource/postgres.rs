//! What is inside PostgreSQL: roles, databases, extensions, settings.

use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresRole {
    /// Its name.
    pub name: String,
    /// The password's SCRAM verifier (`SCRAM-SHA-256$…`), never the password; none for a role that cannot log in.
    pub verifier: Option<String>,
    /// Roles of which it is a member.
    pub member_of: Vec<String>,
    /// Connections that it may hold; -1 for no limit.
    pub connection_limit: i32,
    /// Settings that its sessions start with, for example `statement_timeout`.
    pub settings: Vec<(String, String)>,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresDatabase {
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: String,
    /// Roles that may connect; nobody else may.
    pub connect: Vec<String>,
}

/// An extension in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresExtension {
    /// The database.
    pub database: String,
    /// The extension.
    pub name: String,
}

/// The server's settings, as the running server has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresSettings {
    /// Major version of the cluster `main`.
    pub version: u16,
    /// Names and values, written into one file of `conf.d`; the server is reloaded, or restarted where it must be.
    pub values: Vec<(String, String)>,
}

/// A function, schema or grant that a query can show and a script can make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresObject {
    /// What it is, in a few words.
    pub name: String,
    /// The database.
    pub database: String,
    /// Query of one text value that shows its present state.
    pub state: String,
    /// The value that the query must give.
    pub expected: String,
    /// Script that makes it so, run in one transaction.
    pub script: String,
}

impl Manage for PostgresRole {
    fn id(&self) -> ResourceId {
        ResourceId::new("postgres-role", &self.name)
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}

impl Manage for PostgresDatabase {
    fn id(&self) -> ResourceId {
        ResourceId::new("postgres-database", &self.name)
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}

impl Manage for PostgresExtension {
    fn id(&self) -> ResourceId {
        ResourceId::new("postgres-extension", &format!("{}/{}", self.database, self.name))
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}

impl Manage for PostgresSettings {
    fn id(&self) -> ResourceId {
        ResourceId::new("postgres-settings", &self.version.to_string())
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}

impl Manage for PostgresObject {
    fn id(&self) -> ResourceId {
        ResourceId::new("postgres-object", &format!("{}/{}", self.database, self.name))
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}
