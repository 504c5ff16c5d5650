//! What an operation's own words do not say: who may ask, and which of the house's conventions hold for it.

use serde::{Deserialize, Serialize};

use crate::auth::scope::Scope;
use crate::problem::Code;

/// The name under which an operation has its [`Rules`] until the document is complete.
pub const EXTENSION: &str = "x-rules";

/// The rules of one operation, for its attribute:
/// `extensions(("x-rules" = json!(Rules::scope(&TASKS_WRITE).problem(&codes::TASK_CLOSED))))`.
///
/// What is not said follows from the operation: a write takes an Idempotency-Key unless it is public, everything is
/// rate limited, and the problems of bodies, paths and credentials are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    pub(super) who: Who,
    pub(super) scopes: Vec<Scope>,
    pub(super) problems: Vec<String>,
    pub(super) key: KeyUse,
    pub(super) versioned: bool,
    pub(super) paged: bool,
    pub(super) limited: bool,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Who {
    /// Everybody, without a credential.
    Anybody,
    /// Whoever has a token or a session.
    Actor,
    /// Who is signed in; no token.
    Person,
}

/// What an Idempotency-Key is to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeyUse {
    /// There is none.
    None,
    /// It may be sent.
    Optional,
    /// It must be sent.
    Required,
}

impl Rules {
    /// Anybody may ask.
    #[must_use]
    pub fn public() -> Self {
        Self { key: KeyUse::None, ..Self::of(Who::Anybody) }
    }

    /// Every person and agent may ask, whatever their scopes.
    #[must_use]
    pub fn actor() -> Self {
        Self::of(Who::Actor)
    }

    /// Every person may ask, and no agent: a token does not make tokens.
    #[must_use]
    pub fn person() -> Self {
        Self::of(Who::Person)
    }

    /// Who has this scope may ask.
    #[must_use]
    pub fn scope(scope: &Scope) -> Self {
        Self::actor().and_scope(scope)
    }

    fn of(who: Who) -> Self {
        Self {
            who,
            scopes: Vec::new(),
            problems: Vec::new(),
            key: KeyUse::Optional,
            versioned: false,
            paged: false,
            limited: true,
        }
    }

    /// This scope is needed as well.
    #[must_use]
    pub fn and_scope(mut self, scope: &Scope) -> Self {
        self.scopes.push(scope.clone());
        self
    }

    /// A problem of this operation's own.
    #[must_use]
    pub fn problem(mut self, code: &'static Code) -> Self {
        self.problems.push(code.code.to_owned());
        self
    }

    /// The write is refused without an Idempotency-Key.
    #[must_use]
    pub fn key_required(mut self) -> Self {
        self.key = KeyUse::Required;
        self
    }

    /// The write knows no Idempotency-Key.
    #[must_use]
    pub fn without_key(mut self) -> Self {
        self.key = KeyUse::None;
        self
    }

    /// The answer has an entity tag. Reading takes `If-None-Match`; changing and deleting require `If-Match`.
    #[must_use]
    pub fn versioned(mut self) -> Self {
        self.versioned = true;
        self
    }

    /// The answer is a page of a list, asked for by `limit` and `cursor`.
    #[must_use]
    pub fn paged(mut self) -> Self {
        self.paged = true;
        self
    }

    /// No rate limit holds.
    #[must_use]
    pub fn unlimited(mut self) -> Self {
        self.limited = false;
        self
    }
}
