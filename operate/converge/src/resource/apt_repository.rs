//! A package repository and the key that signs it.

use crate::difference::Difference;
use crate::host::Host;
use crate::resource::{File, Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Fetches the index of the source in `{}` alone, and fails if any part of it does.
const UPDATE_ONLY: [&str; 9] = [
    "apt-get",
    "update",
    "--error-on=any",
    "-o",
    "Dir::Etc::sourcelist={}",
    "-o",
    "Dir::Etc::sourceparts=-",
    "-o",
    "APT::Get::List-Cleanup=0",
];

/// A vendor's repository in deb822 form, trusted by exactly one key.
///
/// The source goes live only after its index was fetched and verified, so a wrong address or key leaves the host's
/// package sources as they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AptRepository {
    /// Short name; the file is `/etc/apt/sources.list.d/<name>.sources`.
    pub name: String,
    /// Base address; only https is accepted, except for the distribution's own archive.
    pub uri: String,
    /// Suites, for example `noble-pgdg`.
    pub suites: Vec<String>,
    /// Components, for example `main`.
    pub components: Vec<String>,
    /// The signing key, ASCII-armoured; written to `/etc/apt/keyrings/<name>.asc` and referred to by `Signed-By`.
    /// None uses the distribution's own keyring (backports).
    pub key: Option<String>,
}

impl Manage for AptRepository {
    fn id(&self) -> ResourceId {
        ResourceId::new("apt-repository", &self.name)
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        self.refuse_unsafe()?;
        let (mut fingerprint, mut summary, mut lines) = (String::new(), Vec::new(), Vec::new());
        for file in self.key_file().into_iter().chain([self.source_file()]) {
            let observed = file.observe(host)?;
            fingerprint.push_str(&observed.fingerprint);
            if let Some(difference) = observed.difference {
                summary.push(format!("{}: {}", file.path, difference.summary));
                lines.extend(difference.lines);
            }
        }
        Ok(match Difference::of(summary) {
            Some(difference) => Observed::differs(Difference { lines, ..difference }),
            None => Observed::same(fingerprint),
        })
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        if let Some(key) = self.key_file() {
            key.change(host)?;
        }
        // A new key behind an old source must be tried as well.
        let source = self.source_file();
        if source.observe(host)?.difference.is_none() {
            let path = source.path.as_str();
            let argv = UPDATE_ONLY.map(|word| word.replace("{}", path));
            return host.run(&argv.each_ref().map(String::as_str), None).map(drop);
        }
        source.change(host)
    }

    fn traces(&self) -> Vec<PathBuf> {
        vec![PathBuf::from(self.source_file().path)]
    }
}

impl AptRepository {
    fn source_file(&self) -> File {
        let path = format!("/etc/apt/sources.list.d/{}.sources", self.name);
        File::new(&path, self.content()).validated_by(&UPDATE_ONLY)
    }

    fn key_file(&self) -> Option<File> {
        self.key.as_ref().map(|key| File::new(&self.key_path(), key))
    }

    fn key_path(&self) -> String {
        format!("/etc/apt/keyrings/{}.asc", self.name)
    }

    fn content(&self) -> String {
        let mut content = format!(
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\n",
            self.uri,
            self.suites.join(" "),
            self.components.join(" ")
        );
        if self.key.is_some() {
            content.push_str(&format!("Signed-By: {}\n", self.key_path()));
        }
        content
    }

    fn refuse_unsafe(&self) -> Result<(), ResourceError> {
        let refuse = |why: &str| {
            Err(ResourceError::Other(format!("package repository {} ({}) {why}", self.name, self.uri)))
        };
        match &self.key {
            Some(_) if !self.uri.starts_with("https://") => {
                refuse("is a vendor's and not reached by https: use its https address")
            }
            Some(key) if !key.trim_start().starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----") => {
                refuse("has a key that is not an ASCII-armoured OpenPGP public key")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::testing::Scratch;

    fn repository() -> AptRepository {
        AptRepository {
            name: "pgdg".into(),
            uri: "https://apt.postgresql.org/pub/repos/apt".into(),
            suites: vec!["noble-pgdg".into()],
            components: vec!["main".into()],
            key: Some("-----BEGIN PGP PUBLIC KEY BLOCK-----\n…".into()),
        }
    }

    #[test]
    fn one_source_trusted_by_one_key() {
        assert_eq!(
            repository().content(),
            "Types: deb\nURIs: https://apt.postgresql.org/pub/repos/apt\nSuites: noble-pgdg\nComponents: main\n\
             Signed-By: /etc/apt/keyrings/pgdg.asc\n"
        );
    }

    #[test]
    fn plain_http_and_odd_keys_are_refused() {
        let mut scratch = Scratch::new();
        let plain = AptRepository { uri: "http://apt.postgresql.org".into(), ..repository() };
        assert!(plain.observe(&mut scratch.host).unwrap_err().to_string().contains("https"));
        let own = AptRepository { key: None, ..plain };
        assert!(own.observe(&mut scratch.host).unwrap().difference.is_some());
        let odd = AptRepository { key: Some("binary".into()), ..repository() };
        assert!(odd.observe(&mut scratch.host).is_err());
    }

    #[test]
    fn shows_both_files() {
        let mut scratch = Scratch::new();
        let difference = repository().observe(&mut scratch.host).unwrap().difference.unwrap();
        assert!(
            difference.summary.contains("keyrings/pgdg.asc") && difference.summary.contains("pgdg.sources")
        );
    }
}
