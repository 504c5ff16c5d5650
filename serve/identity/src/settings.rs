//! Who may ask the issuer, and which login providers stand behind it: the file that the platform writes.
//!
//! Secrets are files whose paths stand in it. Everything that is wrong is said at once.

mod client;
mod credential;
mod provider;

use std::path::Path;

use serde::Deserialize;

pub use client::{Algorithm, Client, Proof, SCOPES};
pub use credential::{Certified, Credential, SigningKey};
pub use provider::{Kind, Provider};

/// The file's content.
#[derive(Debug, Clone)]
pub struct Settings {
    /// When a new identity joins an existing account.
    pub linking: Linking,
    /// Who may ask, by their ids.
    pub clients: Vec<Client>,
    /// The login providers, in the order of their buttons. At least one.
    pub providers: Vec<Provider>,
}

/// When a new identity joins an existing account with the same address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Linking {
    /// Without asking where both addresses are vouched for.
    #[default]
    Vouched,
    /// Never without a session of the existing account.
    Ask,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    linking: Linking,
    #[serde(default)]
    client: Vec<client::Written>,
    #[serde(default)]
    provider: Vec<provider::Written>,
}

/// Collects what is wrong.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn say(&mut self, place: &str, text: impl std::fmt::Display) {
        self.0.push(format!("{place}: {text}"));
    }

    /// The text of a file, without the line's end after it.
    fn file(&mut self, place: &str, path: &Path) -> Option<String> {
        match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => {
                self.say(place, format_args!("{} is empty", path.display()));
                None
            }
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                self.say(place, format_args!("cannot read {}: {error}", path.display()));
                None
            }
        }
    }
}

impl Settings {
    /// Reads the file's text, and the files that it names.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let written: Written = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
        let mut problems = Problems::default();
        let clients: Vec<Client> =
            written.client.into_iter().filter_map(|client| client.check(&mut problems)).collect();
        let providers: Vec<Provider> =
            written.provider.into_iter().filter_map(|provider| provider.check(&mut problems)).collect();
        if providers.is_empty() && problems.0.is_empty() {
            problems.say("provider", "there is none, so nobody could sign in; add a [[provider]]");
        }
        for (kind, names) in [
            ("client", clients.iter().map(|client| client.id.as_str()).collect::<Vec<_>>()),
            ("provider", providers.iter().map(|provider| provider.name.as_str()).collect()),
        ] {
            let mut seen = std::collections::BTreeSet::new();
            for name in names {
                if !seen.insert(name) {
                    problems.say(kind, format_args!("{name:?} is there twice"));
                }
            }
        }
        if problems.0.is_empty() {
            Ok(Self { linking: written.linking, clients, providers })
        } else {
            Err(problems.0)
        }
    }

    /// Which of the clients has this id.
    #[must_use]
    pub fn place(&self, id: &str) -> Option<usize> {
        self.clients.iter().position(|client| client.id == id)
    }

    /// The client of this id.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }
}

#[cfg(test)]
mod platform_tests;
#[cfg(test)]
mod tests;
