//! Facts: reads of the host that many resources share, each done at most once until a change forgets it.

pub mod postgres;

use crate::accounts::Accounts;
use crate::dpkg::Installed;
use crate::host::output;
use crate::resource::ResourceError;
use crate::systemd::{self, UnitState};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What was read of the host so far.
#[derive(Debug, Default)]
pub struct Facts {
    root: PathBuf,
    unit_names: BTreeSet<String>,
    units: Option<BTreeMap<String, UnitState>>,
    packages: Option<Installed>,
    accounts: Option<Accounts>,
    /// What PostgreSQL says of itself.
    pub postgres: postgres::PostgresFacts,
}

impl Facts {
    /// Facts of the system below `root`, of which nothing is read yet.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), ..Self::default() }
    }

    /// Announces units that will be asked for, so that one call reads them all.
    pub fn expect_units<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.unit_names.extend(names.into_iter().map(str::to_owned));
    }

    /// A unit's state.
    pub fn unit(&mut self, name: &str) -> Result<UnitState, ResourceError> {
        if let Some(state) = self.units.as_ref().and_then(|units| units.get(name)) {
            return Ok(state.clone());
        }
        self.unit_names.insert(name.to_owned());
        let names: Vec<&str> = self.unit_names.iter().map(String::as_str).collect();
        let units = systemd::parse(&names, &output(&systemd::show(names.iter().copied()), None)?);
        let state = units.get(name).cloned();
        self.units = Some(units);
        state.ok_or_else(|| {
            ResourceError::Other(format!("systemd said nothing of {name}: see `systemctl show {name}`"))
        })
    }

    /// Puts a unit's state there as if systemd had told it.
    #[cfg(test)]
    pub(crate) fn pretend_unit(&mut self, name: &str, state: UnitState) {
        self.units.get_or_insert_default().insert(name.to_owned(), state);
    }

    /// What is installed.
    pub fn packages(&mut self) -> Result<&Installed, ResourceError> {
        let packages = match self.packages.take() {
            Some(packages) => packages,
            None => self.read_packages()?,
        };
        Ok(self.packages.insert(packages))
    }

    fn read_packages(&self) -> Result<Installed, ResourceError> {
        let status = self.read("/var/lib/dpkg/status")?;
        let updates = self.root.join("var/lib/dpkg/updates");
        let pending = std::fs::read_dir(updates).is_ok_and(|mut entries| entries.next().is_some());
        Ok(Installed::parse(&status, pending))
    }

    /// Users and groups.
    pub fn accounts(&mut self) -> Result<&Accounts, ResourceError> {
        let accounts = match self.accounts.take() {
            Some(accounts) => accounts,
            None => Accounts::parse(
                &self.read("/etc/passwd")?,
                &self.read("/etc/group")?,
                &self.read("/etc/shadow")?,
            ),
        };
        Ok(self.accounts.insert(accounts))
    }

    fn read(&self, path: &str) -> Result<String, ResourceError> {
        match std::fs::read(self.root.join(path.trim_start_matches('/'))) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(ResourceError::io(format!("read {path}"))(error)),
        }
    }

    /// Units may have changed.
    pub fn forget_units(&mut self) {
        self.units = None;
    }

    /// Users or groups may have changed.
    pub fn forget_accounts(&mut self) {
        self.accounts = None;
    }

    /// Anything may have changed, as after packages were installed or a command ran.
    pub fn forget_all(&mut self) {
        self.units = None;
        self.packages = None;
        self.accounts = None;
        self.postgres.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_once_until_forgotten() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let passwd = root.path().join("etc/passwd");
        std::fs::write(&passwd, "a:x:1:1::/:/bin/sh\n").unwrap();
        let mut facts = Facts::at(root.path());
        assert!(facts.accounts().unwrap().user("a").is_some());
        std::fs::write(&passwd, "b:x:1:1::/:/bin/sh\n").unwrap();
        assert!(facts.accounts().unwrap().user("a").is_some());
        facts.forget_accounts();
        assert!(facts.accounts().unwrap().user("b").is_some());
    }
}
