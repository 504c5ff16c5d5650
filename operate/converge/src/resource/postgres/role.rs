//! Roles.

use super::{document, observed, sql};
use crate::difference::Difference;
use crate::facts::postgres::{Document, Role};
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A role. It never has a privilege over the whole server: superuser, creating roles or databases, replication,
/// passing by row security; one that got such a privilege by hand loses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresRole {
    /// Its name.
    pub name: String,
    /// The password's SCRAM verifier (`SCRAM-SHA-256$…`), never the password; none for a role that cannot log in.
    ///
    /// Compared as text, so the salt must be the same in every run.
    pub verifier: Option<String>,
    /// Roles of which it is a member.
    pub member_of: Vec<String>,
    /// Connections that it may hold; -1 for no limit.
    pub connection_limit: i32,
    /// Settings that its sessions start with, for example `statement_timeout`.
    pub settings: Vec<(String, String)>,
}

impl PostgresRole {
    fn differences(&self, role: &Role, document: &Document) -> Vec<String> {
        let mut lines: Vec<String> = role.powers.iter().map(|power| format!("- {power}")).collect();
        let login = |can: bool| if can { "LOGIN" } else { "NOLOGIN" };
        if role.login != self.verifier.is_some() {
            lines.push(format!("- {}", login(role.login)));
            lines.push(format!("+ {}", login(!role.login)));
        }
        if !role.inherit {
            lines.push("- NOINHERIT".to_owned());
        }
        if role.verifier != self.verifier {
            lines.push("  the password differs".to_owned());
        }
        if let Some(expires) = role.expires.as_deref().filter(|expires| *expires != "infinity") {
            lines.push(format!("- VALID UNTIL {expires}"));
        }
        if role.limit != self.connection_limit {
            lines.push(format!("- CONNECTION LIMIT {}", role.limit));
            lines.push(format!("+ CONNECTION LIMIT {}", self.connection_limit));
        }
        for group in role.member_of.iter().filter(|group| !self.member_of.contains(group)) {
            lines.push(format!("- member of {group}"));
        }
        for group in self.member_of.iter().filter(|group| !role.member_of.contains(group)) {
            lines.push(format!("+ member of {group}"));
        }
        lines.extend(role.admin_of.iter().map(|group| format!("- may grant {group}")));
        lines.extend(self.setting_differences(role, document));
        lines
    }

    fn setting_differences(&self, role: &Role, document: &Document) -> Vec<String> {
        let mut lines = Vec::new();
        let mut found: Vec<&str> = Vec::new();
        for present in &role.settings {
            let (name, value) = present.setting.split_once('=').unwrap_or((&present.setting, ""));
            match (&present.database, self.settings.iter().find(|(wanted, _)| wanted == name)) {
                (None, Some((_, wanted))) if is_same(document, name, value, wanted) => found.push(name),
                (None, _) => lines.push(format!("- SET {}", present.setting)),
                (Some(database), _) => {
                    lines.push(format!("- SET {} (in database {database})", present.setting))
                }
            }
        }
        for (name, value) in self.settings.iter().filter(|(name, _)| !found.contains(&name.as_str())) {
            lines.push(format!("+ SET {name}={value}"));
        }
        lines
    }

    /// What makes the role as it should be, from whatever it is, or from nothing.
    fn script(&self, present: Option<&Role>) -> String {
        let role = sql::name(&self.name);
        let mut script = String::new();
        if present.is_none() {
            script.push_str(&format!("CREATE ROLE {role};\n"));
        }
        let (login, password) = match &self.verifier {
            Some(verifier) => ("LOGIN", sql::string(verifier)),
            None => ("NOLOGIN", "NULL".to_owned()),
        };
        script.push_str(&format!(
            "ALTER ROLE {role} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT {login} \
             CONNECTION LIMIT {} PASSWORD {password} VALID UNTIL 'infinity';\nALTER ROLE {role} RESET ALL;\n",
            self.connection_limit
        ));
        for setting in present.iter().flat_map(|present| &present.settings) {
            if let Some(database) = &setting.database {
                script
                    .push_str(&format!("ALTER ROLE {role} IN DATABASE {} RESET ALL;\n", sql::name(database)));
            }
        }
        for group in present.iter().flat_map(|present| &present.member_of) {
            let admin = present.is_some_and(|present| present.admin_of.contains(group));
            if admin || !self.member_of.contains(group) {
                script.push_str(&format!("REVOKE {} FROM {role} CASCADE;\n", sql::name(group)));
            }
        }
        for group in &self.member_of {
            script.push_str(&format!("GRANT {} TO {role};\n", sql::name(group)));
        }
        for (name, value) in &self.settings {
            // By way of the session, because only so a list stays a list whatever its quoting.
            script.push_str(&format!(
                "SELECT set_config({}, {}, true) \\g /dev/null\nALTER ROLE {role} SET {} FROM CURRENT;\n",
                sql::string(name),
                sql::string(value),
                sql::setting(name)
            ));
        }
        script
    }
}

fn is_same(document: &Document, name: &str, value: &str, wanted: &str) -> bool {
    if value == wanted {
        return true;
    }
    let Some(setting) = document.settings.iter().find(|setting| setting.name == name) else { return false };
    // Both sides may have units of their own: bring the present one into the server's, then compare.
    sql::in_base_unit(setting, value).is_some_and(|held| sql::is_value(&held, wanted))
}

impl Manage for PostgresRole {
    fn id(&self) -> ResourceId {
        ResourceId::new("postgres-role", &self.name)
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let document = match document(host)? {
            Ok(document) => document,
            Err(absent) => return Ok(absent),
        };
        let Some(role) = document.roles.iter().find(|role| role.name == self.name) else {
            return Ok(Observed::differs(Difference::new("create the role")));
        };
        let verifier = Sha256::digest(self.verifier.as_deref().unwrap_or_default());
        Ok(observed("the role", self.differences(role, &document), format!("{verifier:x}")))
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        let document = host.facts.postgres.document()?;
        let present = document.roles.iter().find(|role| role.name == self.name);
        host.facts.postgres.execute("postgres", &self.script(present), true)
    }
}
