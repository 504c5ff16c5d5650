//! What was done just before a page is shown. It comes with the address, as one of these words and nothing else.

/// The parameter of the query that carries it.
pub const PARAMETER: &str = "notice";

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    Made,
    Saved,
    Deleted,
    Restored,
    Removed,
    Revoked,
    Left,
    Joined,
    Ended,
    Sent,
}

impl Notice {
    /// Each with its word in addresses and its sentence on pages.
    const ALL: [(Self, &str, &str); 10] = [
        (Self::Made, "made", "Done: it is made."),
        (Self::Saved, "saved", "Saved."),
        (Self::Deleted, "deleted", "Deleted."),
        (Self::Restored, "restored", "Restored."),
        (Self::Removed, "removed", "Removed."),
        (Self::Revoked, "revoked", "Revoked."),
        (Self::Left, "left", "You have left the organization."),
        (Self::Joined, "joined", "Welcome: you are a member now."),
        (Self::Ended, "ended", "Signed out there."),
        (Self::Sent, "sent", "On its way."),
    ];

    /// The notice of this word, if it is one.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == word).map(|(notice, ..)| *notice)
    }

    fn entry(self) -> (&'static str, &'static str) {
        let of_this = Self::ALL.iter().find(|(notice, ..)| *notice == self);
        of_this.map_or(("", ""), |(_, word, text)| (word, text))
    }

    /// What the page says.
    pub fn text(self) -> &'static str {
        self.entry().1
    }

    /// The path that shows it.
    pub fn at(self, path: &str) -> String {
        let separator = if path.contains('?') { '&' } else { '?' };
        format!("{path}{separator}{PARAMETER}={}", self.entry().0)
    }
}
