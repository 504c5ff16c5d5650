//! Scopes: `<resource>:read` and `<resource>:write`, the words in which a token says what it may do.
//!
//! Writing does not imply reading: who may only report results need not see anybody else's. There is no `*`: a scope that
//! means "whatever there will be" would widen every old token with each new resource.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A longer name is a mistake or an attack.
const LONGEST_RESOURCE: usize = 40;
/// More than any API has; a longer list is refused before it is sorted.
const MOST_SCOPES: usize = 100;

/// What is done with the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// GET and HEAD.
    Read,
    /// Everything else. It does not include reading.
    Write,
}

/// One thing that may be done with one kind of resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    resource: Cow<'static, str>,
    access: Access,
}

/// Why a text is no scope, or a list no set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Neither `:read` nor `:write` at the end.
    #[error("a scope is <resource>:read or <resource>:write")]
    Form,
    /// The resource's name.
    #[error(
        "a scope's resource is a name in lower case: a letter, then letters, digits and hyphens, at most {LONGEST_RESOURCE}"
    )]
    Resource,
    /// Too long a list.
    #[error("more than {MOST_SCOPES} scopes")]
    TooMany,
}

impl Scope {
    /// Reading this resource. For constants; `resource` is a name in lower case.
    #[must_use]
    pub const fn read(resource: &'static str) -> Self {
        Self { resource: Cow::Borrowed(resource), access: Access::Read }
    }

    /// Writing this resource. For constants; `resource` is a name in lower case.
    #[must_use]
    pub const fn write(resource: &'static str) -> Self {
        Self { resource: Cow::Borrowed(resource), access: Access::Write }
    }

    /// The resource's name.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// What is done with it.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (resource, access) = match text.split_once(':') {
            Some((resource, "read")) => (resource, Access::Read),
            Some((resource, "write")) => (resource, Access::Write),
            _ => return Err(ScopeError::Form),
        };
        let letter = |byte: u8| byte.is_ascii_lowercase();
        let named = resource.bytes().next().is_some_and(letter)
            && resource.len() <= LONGEST_RESOURCE
            && !resource.ends_with('-')
            && resource.bytes().all(|byte| letter(byte) || byte.is_ascii_digit() || byte == b'-');
        if !named {
            return Err(ScopeError::Resource);
        }
        Ok(Self { resource: Cow::Owned(resource.to_owned()), access })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::Read => "read",
            Access::Write => "write",
        };
        write!(formatter, "{}:{access}", self.resource)
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

/// A set of scopes, in alphabetical order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Whether the scope is among these.
    #[must_use]
    pub fn covers(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// Those of `wanted` that these do not cover.
    pub fn lacking<'a>(&'a self, wanted: &'a Scopes) -> impl Iterator<Item = &'a Scope> {
        wanted.0.difference(&self.0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// As PostgreSQL's `text[]` has them.
    #[must_use]
    pub fn to_texts(&self) -> Vec<String> {
        self.0.iter().map(Scope::to_string).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl TryFrom<Vec<String>> for Scopes {
    type Error = ScopeError;

    fn try_from(texts: Vec<String>) -> Result<Self, ScopeError> {
        if texts.len() > MOST_SCOPES {
            return Err(ScopeError::TooMany);
        }
        texts.into_iter().map(Scope::try_from).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Scopes> for Vec<String> {
    fn from(scopes: Scopes) -> Self {
        scopes.to_texts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garbage::Garbage;

    #[test]
    fn a_scope_is_read_strictly() {
        assert_eq!("tasks:read".parse(), Ok(Scope::read("tasks")));
        assert_eq!("audit-events:write".parse(), Ok(Scope::write("audit-events")));
        for text in
            ["", "tasks", "tasks:", "tasks:admin", "tasks:Read", "tasks:read ", "tasks:read:write", "tasks:*"]
        {
            assert_eq!(text.parse::<Scope>(), Err(ScopeError::Form), "{text}");
        }
        for text in [
            ":read",
            "*:read",
            "Tasks:read",
            "täsks:read",
            "1tasks:read",
            "tasks-:read",
            "a b:read",
            "a\0:read",
        ] {
            assert_eq!(text.parse::<Scope>(), Err(ScopeError::Resource), "{text}");
        }
        assert!(format!("{}:read", "a".repeat(LONGEST_RESOURCE)).parse::<Scope>().is_ok());
        assert!(format!("{}:read", "a".repeat(LONGEST_RESOURCE + 1)).parse::<Scope>().is_err());
    }

    #[test]
    fn writing_does_not_imply_reading() {
        let scopes = Scopes::from_iter([Scope::write("tasks")]);
        assert!(scopes.covers(&Scope::write("tasks")));
        assert!(!scopes.covers(&Scope::read("tasks")));
        assert!(!scopes.covers(&Scope::write("projects")));
    }

    #[test]
    fn what_is_lacking_is_named() {
        let own = Scopes::from_iter([Scope::read("tasks"), Scope::read("projects")]);
        let wanted = Scopes::from_iter([Scope::write("tasks"), Scope::read("tasks")]);
        assert_eq!(own.lacking(&wanted).collect::<Vec<_>>(), [&Scope::write("tasks")]);
    }

    #[test]
    fn scopes_are_json_strings_once_each() {
        let scopes: Scopes = serde_json::from_str(r#"["tasks:write","tasks:read","tasks:read"]"#).unwrap();
        assert_eq!(serde_json::to_string(&scopes).unwrap(), r#"["tasks:read","tasks:write"]"#);
        assert!(serde_json::from_str::<Scopes>(r#"["tasks:read","*:read"]"#).is_err());
        let many = serde_json::to_string(&vec!["tasks:read"; MOST_SCOPES + 1]).unwrap();
        assert!(serde_json::from_str::<Scopes>(&many).is_err());
    }

    #[test]
    fn garbage_is_refused_or_read_back_as_it_was() {
        let mut garbage = Garbage::new(1);
        for _ in 0..10_000 {
            let text = garbage.text("abz09-:*readwrite \u{e9}\0", 24);
            if let Ok(scope) = text.parse::<Scope>() {
                assert_eq!(scope.to_string(), text);
            }
        }
    }
}
