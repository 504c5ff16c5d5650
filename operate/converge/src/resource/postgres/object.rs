//! What is in one database: extensions, and anything else that a query can show.

use super::{absent, sql};
use crate::difference::Difference;
use crate::facts::postgres::{Answer, Presence};
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An extension in a database, in the version that its package brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresExtension {
    /// The database.
    pub database: String,
    /// The extension.
    pub name: String,
}

/// A function, schema or grant that a query can show and a script can make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresObject {
    /// What it is, in a few words.
    pub name: String,
    /// The database.
    pub database: String,
    /// Query of one text value that shows its present state. It may name what does not exist yet.
    pub state: String,
    /// The value that the query must give.
    pub expected: String,
    /// Script that makes it so, run in one transaction.
    pub script: String,
}

/// The value of a query, or the difference that there is nothing to ask.
fn value(host: &mut Host, database: &str, query: &str) -> Result<Result<String, Observed>, ResourceError> {
    let document = match host.facts.postgres.presence()? {
        Presence::Present(document) => document,
        Presence::Absent(reason) => return Ok(Err(absent(&reason))),
    };
    if !document.databases.iter().any(|present| present.name == database) {
        return Ok(Err(absent(&format!("database {database} does not exist yet"))));
    }
    match host.facts.postgres.ask(database, query)? {
        Answer::Text(text) => Ok(Ok(text)),
        // Class 42 and 3F: the query names a table, function, role or schema that does not exist.
        Answer::Refused { sqlstate, message } if sqlstate.starts_with("42") || sqlstate.starts_with("3F") => {
            Ok(Err(absent(&message)))
        }
        Answer::Refused { message, .. } => {
            Err(ResourceError::Other(format!("ask database {database} for its state: {message}")))
        }
        Answer::Unreachable(reason) => Err(ResourceError::Other(format!("database {database}: {reason}"))),
    }
}

impl Manage for PostgresExtension {
    fn id(&self) -> ResourceId {
        ResourceId::new("postgres-extension", &format!("{}/{}", self.database, self.name))
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let query = format!(
            "SELECT coalesce(installed_version, '') || ' ' || default_version FROM pg_available_extensions \
             WHERE name = {}",
            sql::string(&self.name)
        );
        let versions = match value(host, &self.database, &query)? {
            Ok(versions) => versions,
            Err(absent) => return Ok(absent),
        };
        Ok(match versions.split_once(' ') {
            None => Observed::differs(Difference::new("its package is not installed yet; will be created")),
            Some(("", version)) => Observed::differs(Difference::new(format!("create, version {version}"))),
            Some((installed, version)) if installed != version => {
                Observed::differs(Difference::new(format!("update from {installed} to {version}")))
            }
            Some((installed, _)) => Observed::same(installed),
        })
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        host.facts.postgres.document()?;
        let name = sql::name(&self.name);
        let script = format!("CREATE EXTENSION IF NOT EXISTS {name};\nALTER EXTENSION {name} UPDATE;\n");
        host.facts.postgres.execute(&self.database, &script, true)
    }
}

impl Manage for PostgresObject {
    fn id(&self) -> ResourceId {
        ResourceId::new("postgres-object", &format!("{}/{}", self.database, self.name))
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let state = match value(host, &self.database, &self.state)? {
            Ok(state) => state,
            Err(absent) => return Ok(absent),
        };
        if state == self.expected {
            return Ok(Observed::same(format!("{:x}", Sha256::digest(&state))));
        }
        let mut lines: Vec<String> = state.lines().map(|line| format!("- {line}")).collect();
        lines.extend(self.expected.lines().map(|line| format!("+ {line}")));
        Ok(Observed::differs(Difference::with_lines("its state differs", lines)))
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        host.facts.postgres.document()?;
        host.facts.postgres.execute(&self.database, &self.script, true)
    }
}
