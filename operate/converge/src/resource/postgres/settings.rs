//! The server's settings.

use super::sql;
use crate::difference::Difference;
use crate::facts::postgres::{Document, Presence};
use crate::files::{self, Ownership};
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a reload may take to reach every new session.
const RELOAD_WITHIN: Duration = Duration::from_secs(15);

/// The server's settings, as the running server has them.
///
/// They are observed in the file and in the server: values put over them with ALTER SYSTEM, in a later file, or loaded
/// and then put back in the file without a reload are found. A server that does not run only has the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresSettings {
    /// Major version of the cluster `main`.
    pub version: u16,
    /// Names and values, written into one file of `conf.d`; the server is reloaded, or restarted where it must be.
    pub values: Vec<(String, String)>,
}

impl PostgresSettings {
    fn directory(&self) -> PathBuf {
        PathBuf::from(format!("/etc/postgresql/{}/main", self.version))
    }

    pub(super) fn file(&self) -> PathBuf {
        self.directory().join("conf.d/60-bastide.conf")
    }

    fn content(&self) -> String {
        let mut text =
            "# Written by Bastide, whole: what is changed here by hand is changed back.\n".to_owned();
        for (name, value) in &self.values {
            text.push_str(&format!("{name} = {}\n", sql::configured(value)));
        }
        text
    }

    /// What differs between the running server and what is asked.
    fn live_differences(&self, document: &Document) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, wanted) in &self.values {
            let name = name.to_lowercase();
            let Some(setting) = document.settings.iter().find(|setting| setting.name.to_lowercase() == name)
            else {
                lines.push(format!("+ {name} = {wanted} (the server does not know it yet)"));
                continue;
            };
            let overridden = document.overrides.iter().any(|other| other.to_lowercase() == name);
            if overridden {
                lines.push(format!("- {name} set by ALTER SYSTEM"));
            }
            if setting.pending_restart {
                lines.push(format!("+ {name} = {wanted} (waits for a restart)"));
            } else if !sql::is_value(setting, wanted) {
                let held = setting.value.as_deref().unwrap_or_default();
                let unit = setting.unit.as_deref().map(|unit| format!(" × {unit}")).unwrap_or_default();
                let file = setting.file.as_deref().map(|file| format!(" (from {file})")).unwrap_or_default();
                lines.push(format!("- {name} = {held}{unit}{file}"));
                lines.push(format!("+ {name} = {wanted}"));
            }
        }
        lines
    }

    /// Puts the file in place, and the old one back if PostgreSQL cannot read it.
    pub(super) fn write(&self, host: &mut Host) -> Result<(), ResourceError> {
        let path = self.file();
        let old = read(&path)?;
        if !self.directory().join("postgresql.conf").exists() {
            return Err(ResourceError::Other(format!(
                "cluster main of PostgreSQL {0} does not exist: {1} is missing; create it with \
                 `pg_createcluster {0} main`",
                self.version,
                self.directory().join("postgresql.conf").display()
            )));
        }
        files::replace(&path, self.content().as_bytes(), Ownership::root(0o644))?;
        let Err(refused) = self.validate(host) else { return Ok(()) };
        match old {
            Some(old) => files::replace(&path, old.as_bytes(), Ownership::root(0o644))?,
            None => {
                fs::remove_file(&path).map_err(ResourceError::io(format!("remove {}", path.display())))?
            }
        }
        Err(match refused {
            ResourceError::Program { program, output, .. } => {
                ResourceError::Invalid { path: path.display().to_string(), program, output }
            }
            other => other,
        })
    }

    /// Has the server's own program read all its configuration, as it does at its start.
    fn validate(&self, host: &mut Host) -> Result<(), ResourceError> {
        let program = format!("/usr/lib/postgresql/{}/bin/postgres", self.version);
        let directory = self.directory().display().to_string();
        host.run(&[&program, "-C", "port", "-D", &directory], None).map(drop)
    }

    /// Has the running server take up the file: every new session has the settings when this returns.
    pub(super) fn reload(&self, host: &mut Host, document: &Document) -> Result<(), ResourceError> {
        let resets: Vec<String> = self
            .values
            .iter()
            .filter(|(name, _)| document.overrides.iter().any(|other| other.eq_ignore_ascii_case(name)))
            .map(|(name, _)| format!("ALTER SYSTEM RESET {};\n", sql::setting(name)))
            .collect();
        let loaded = load_time(host)?;
        let script = format!("{}SELECT pg_reload_conf() \\g /dev/null\n", resets.concat());
        host.facts.postgres.execute("postgres", &script, false)?;
        let deadline = Instant::now() + RELOAD_WITHIN;
        while load_time(host)? == loaded {
            if Instant::now() > deadline {
                return Err(ResourceError::Other(format!(
                    "PostgreSQL {} did not reload within {} s: see its log in /var/log/postgresql",
                    self.version,
                    RELOAD_WITHIN.as_secs()
                )));
            }
        }
        Ok(())
    }

    fn needs_restart(&self, document: &Document) -> bool {
        self.live_differences(document).iter().any(|line| line.starts_with('+'))
    }
}

/// When the server last read its files, as a session sees it that starts now.
fn load_time(host: &mut Host) -> Result<String, ResourceError> {
    use crate::facts::postgres::Answer;
    host.facts.postgres.forget();
    match host.facts.postgres.ask("postgres", "SELECT pg_conf_load_time()")? {
        Answer::Text(time) => Ok(time),
        Answer::Refused { message, .. } | Answer::Unreachable(message) => Err(ResourceError::Other(message)),
    }
}

fn read(path: &Path) -> Result<Option<String>, ResourceError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ResourceError::io(format!("read {}", path.display()))(error)),
    }
}

impl Manage for PostgresSettings {
    fn id(&self) -> ResourceId {
        ResourceId::new("postgres-settings", &self.version.to_string())
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let content = self.content();
        let Some(present) = read(&self.file())? else {
            return Ok(Observed::differs(Difference::new("no settings yet; will be created")));
        };
        let mut lines: Vec<String> = Vec::new();
        if present != content {
            let missing = |these: &str, those: &str, sign: &str| -> Vec<String> {
                these
                    .lines()
                    .filter(|line| !those.lines().any(|other| other == *line))
                    .map(|line| format!("{sign} {line}"))
                    .collect()
            };
            lines.extend(missing(&present, &content, "-"));
            lines.extend(missing(&content, &present, "+"));
            return Ok(Observed::differs(Difference::with_lines("the file differs", lines)));
        }
        if let Presence::Present(document) = host.facts.postgres.presence()? {
            lines.extend(self.live_differences(&document));
        }
        if lines.is_empty() {
            return Ok(Observed::same(format!("{:x}", Sha256::digest(&content))));
        }
        Ok(Observed::differs(Difference::with_lines("the running server differs from the file", lines)))
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        self.write(host)?;
        // A server that does not run reads the file when its unit starts it.
        let Presence::Present(document) = host.facts.postgres.presence()? else { return Ok(()) };
        self.reload(host, &document)?;
        let document = host.facts.postgres.document()?;
        if self.needs_restart(&document) {
            let unit = format!("postgresql@{}-main.service", self.version);
            host.facts.postgres.forget();
            host.run(&["systemctl", "restart", &unit], None)?;
        }
        Ok(())
    }
}
