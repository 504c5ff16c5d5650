//! Databases.

use super::{document, observed, sql};
use crate::difference::Difference;
use crate::facts::postgres::{Database, Document, Privilege};
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// A database, in UTF-8, its text ordered by code point so that no library upgrade can break an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresDatabase {
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: String,
    /// Roles that may connect; nobody else may.
    pub connect: Vec<String>,
}

impl PostgresDatabase {
    fn wanted(&self) -> Vec<Privilege> {
        let mut wanted: Vec<Privilege> = self
            .connect
            .iter()
            .filter(|role| **role != self.owner)
            .map(|role| Privilege {
                role: Some(role.clone()),
                privilege: "CONNECT".to_owned(),
                grantable: false,
            })
            .collect();
        wanted.sort();
        wanted.dedup();
        wanted
    }

    fn differences(&self, database: &Database) -> Vec<String> {
        let mut lines = Vec::new();
        if database.owner != self.owner {
            lines.push(format!("- OWNER {}", database.owner));
            lines.push(format!("+ OWNER {}", self.owner));
        }
        if !self.has_good_encoding(database) {
            lines.push(format!("- ENCODING {}", database.encoding));
            lines.push("+ ENCODING UTF8".to_owned());
        }
        let wanted = self.wanted();
        let extra = database.privileges.iter().filter(|privilege| !wanted.contains(privilege));
        lines.extend(extra.map(|privilege| format!("- {}", in_words(privilege))));
        let missing = wanted.iter().filter(|privilege| !database.privileges.contains(privilege));
        lines.extend(missing.map(|privilege| format!("+ {}", in_words(privilege))));
        lines
    }

    /// The databases that come with a cluster have its encoding, whatever that is, and hold nothing of ours.
    fn has_good_encoding(&self, database: &Database) -> bool {
        database.encoding == "UTF8" || matches!(self.name.as_str(), "postgres" | "template1")
    }

    fn creation(&self, document: &Document) -> String {
        let provider = if document.version >= 170_000 {
            " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
        } else {
            ""
        };
        format!(
            "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'{provider};\n",
            sql::name(&self.name),
            sql::name(&self.owner)
        )
    }

    fn privileges(&self, present: Option<&Database>) -> String {
        let database = sql::name(&self.name);
        let mut script = format!(
            "ALTER DATABASE {database} OWNER TO {};\nREVOKE ALL ON DATABASE {database} FROM PUBLIC CASCADE;\n",
            sql::name(&self.owner)
        );
        let mut grantees: Vec<&String> = present
            .iter()
            .flat_map(|present| &present.privileges)
            .filter_map(|one| one.role.as_ref())
            .collect();
        grantees.extend(present.map(|present| &present.owner));
        grantees.sort();
        grantees.dedup();
        for grantee in grantees.into_iter().filter(|grantee| **grantee != self.owner) {
            script.push_str(&format!(
                "REVOKE ALL ON DATABASE {database} FROM {} CASCADE;\n",
                sql::name(grantee)
            ));
        }
        for role in self.wanted().iter().filter_map(|privilege| privilege.role.as_ref()) {
            script.push_str(&format!("GRANT CONNECT ON DATABASE {database} TO {};\n", sql::name(role)));
        }
        script
    }
}

fn in_words(privilege: &Privilege) -> String {
    let role = privilege.role.as_deref().unwrap_or("PUBLIC");
    let grantable = if privilege.grantable { " WITH GRANT OPTION" } else { "" };
    format!("GRANT {} TO {role}{grantable}", privilege.privilege)
}

impl Manage for PostgresDatabase {
    fn id(&self) -> ResourceId {
        ResourceId::new("postgres-database", &self.name)
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let document = match document(host)? {
            Ok(document) => document,
            Err(absent) => return Ok(absent),
        };
        let Some(database) = document.databases.iter().find(|database| database.name == self.name) else {
            return Ok(Observed::differs(Difference::new("create the database")));
        };
        Ok(observed("the database", self.differences(database), format!("{} {:?}", self.owner, self.connect)))
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        let document = host.facts.postgres.document()?;
        let present = document.databases.iter().find(|database| database.name == self.name);
        match present {
            Some(database) if !self.has_good_encoding(database) => {
                return Err(ResourceError::Other(format!(
                    "database {} has the encoding {}, which cannot be changed in place: dump it, drop it, apply again, \
                     and restore the dump",
                    self.name, database.encoding
                )));
            }
            Some(_) => {}
            // Not in a transaction: PostgreSQL copies files.
            None => host.facts.postgres.execute("postgres", &self.creation(&document), false)?,
        }
        host.facts.postgres.execute("postgres", &self.privileges(present), true)
    }
}
