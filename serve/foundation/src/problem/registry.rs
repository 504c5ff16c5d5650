//! The registry of problem codes: the foundation's and the application's own, each once.

use std::collections::BTreeMap;

use super::{Code, codes};

/// Why codes cannot be registered together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RegistryError {
    /// Two codes have one name.
    #[error("registering problem codes: `{0}` is there twice; give one of them another name")]
    Twice(&'static str),
    /// The name is not lower case words with hyphens.
    #[error("registering problem codes: `{0}` is not in lower case with single hyphens")]
    Name(&'static str),
    /// The status is no error.
    #[error("registering problem codes: `{0}` has status {1}, which is no error (400 to 599)")]
    Status(&'static str, u16),
    /// Title or documentation is missing.
    #[error("registering problem codes: `{0}` has no title or says nothing about itself")]
    Undocumented(&'static str),
}

/// Every kind of problem that an API can answer, by its name.
#[derive(Debug, Clone)]
pub struct Registry(BTreeMap<&'static str, &'static Code>);

impl Registry {
    /// The foundation's codes and the application's.
    ///
    /// # Errors
    /// A code that is there twice, is not in kebab case, has no error status or no documentation.
    pub fn new(own: &[&'static Code]) -> Result<Self, RegistryError> {
        let mut registry = BTreeMap::new();
        for code in codes::ALL.iter().chain(own) {
            check(code)?;
            if registry.insert(code.code, *code).is_some() {
                return Err(RegistryError::Twice(code.code));
            }
        }
        Ok(Self(registry))
    }

    /// The kind with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static Code> {
        self.0.get(name).copied()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &'static Code> + '_ {
        self.0.values().copied()
    }
}

fn check(code: &'static Code) -> Result<(), RegistryError> {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if !code.code.split('-').all(word) {
        return Err(RegistryError::Name(code.code));
    }
    if !(400..600).contains(&code.status) {
        return Err(RegistryError::Status(code.code, code.status));
    }
    if code.title.is_empty() || code.about.is_empty() {
        return Err(RegistryError::Undocumented(code.code));
    }
    Ok(())
}

/// Names of constants that no source refers to as `codes::NAME`, given the text of the file that defines them and
/// of all others. For the test of a crate that defines codes.
#[cfg(any(test, feature = "testing"))]
#[must_use]
pub fn unused(definitions: &str, sources: &[String]) -> Vec<String> {
    definitions
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": Code = "))
        .map(|(name, _)| name.to_owned())
        .filter(|name| !sources.iter().any(|source| mentions(source, name)))
        .collect()
}

#[cfg(any(test, feature = "testing"))]
fn mentions(source: &str, name: &str) -> bool {
    source.match_indices(name).any(|(at, _)| {
        let after = source[at + name.len()..].chars().next();
        source[..at].ends_with("codes::") && !after.is_some_and(|next| next.is_alphanumeric() || next == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("the crate's sources") {
            let path = entry.expect("an entry").path();
            // The description of an answer does not give it.
            if path.is_dir() && path.ends_with("openapi") {
                continue;
            }
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("codes.rs") {
                let text = std::fs::read_to_string(&path).expect("a source");
                // Only what runs counts as use.
                found.push(text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned());
            }
        }
    }

    #[test]
    fn every_documented_code_is_used() {
        let mut found = Vec::new();
        sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert_eq!(unused(include_str!("codes.rs"), &found), Vec::<String>::new());
        assert_eq!(unused("pub const NOBODYS: Code = x", &found), ["NOBODYS"]);
    }

    #[test]
    fn every_code_is_listed_once_in_order() {
        let names: Vec<_> = codes::ALL.iter().map(|code| code.code).collect();
        assert!(names.is_sorted(), "{names:?}");
        let defined = include_str!("codes.rs").matches(": Code = Code {").count();
        assert_eq!(names.len(), defined, "every constant is in ALL");
        Registry::new(&[]).expect("the foundation's codes are in order");
    }

    #[test]
    fn bad_codes_are_refused() {
        const TWICE: Code = Code { code: "internal", status: 500, title: "t", about: "a" };
        const NAME: Code = Code { code: "Not-Kebab", status: 400, title: "t", about: "a" };
        const STATUS: Code = Code { code: "fine", status: 200, title: "t", about: "a" };
        const SILENT: Code = Code { code: "silent", status: 400, title: "t", about: "" };
        let error = |code| Registry::new(&[code]).expect_err("refused");
        assert_eq!(error(&TWICE), RegistryError::Twice("internal"));
        assert_eq!(error(&NAME), RegistryError::Name("Not-Kebab"));
        assert_eq!(error(&STATUS), RegistryError::Status("fine", 200));
        assert_eq!(error(&SILENT), RegistryError::Undocumented("silent"));
    }
}
