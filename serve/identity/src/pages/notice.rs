//! What was done just before a page is shown. It comes with the address, as one of these words and nothing else.

use super::texts::{Phrase, Texts};

/// The parameter of the query that carries it.
const PARAMETER: &str = "notice";

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// An identity has joined.
    Linked,
    /// An identity is another account's.
    Taken,
    /// An identity has left.
    Unlinked,
    /// An identity is the last one.
    Last,
    /// Sessions have ended.
    Ended,
    /// A client may do nothing any more.
    Revoked,
}

impl Notice {
    const ALL: [Self; 6] =
        [Self::Linked, Self::Taken, Self::Unlinked, Self::Last, Self::Ended, Self::Revoked];

    fn word(self) -> &'static str {
        match self {
            Self::Linked => "linked",
            Self::Taken => "taken",
            Self::Unlinked => "unlinked",
            Self::Last => "last",
            Self::Ended => "ended",
            Self::Revoked => "revoked",
        }
    }

    /// The notice of this word, if it is one.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|notice| notice.word() == word)
    }

    /// The path that shows it.
    #[must_use]
    pub fn at(self, path: &str) -> String {
        format!("{path}?{PARAMETER}={}", self.word())
    }

    /// What the page says.
    #[must_use]
    pub fn text(self, texts: &'static Texts) -> &'static Phrase {
        let notices = &texts.notices;
        match self {
            Self::Linked => &notices.linked,
            Self::Taken => &notices.taken,
            Self::Unlinked => &notices.unlinked,
            Self::Last => &notices.last,
            Self::Ended => &notices.ended,
            Self::Revoked => &notices.revoked,
        }
    }

    /// Whether nothing was done.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Taken | Self::Last)
    }
}
