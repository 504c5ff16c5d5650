//! The four, and where each is.

use serde::{Deserialize, Serialize};

/// A login provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Google.
    Google,
    /// GitHub.
    Github,
    /// Microsoft Entra ID.
    Microsoft,
    /// Apple.
    Apple,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Google, Self::Github, Self::Microsoft, Self::Apple];

    /// Its name in paths and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Github => "github",
            Self::Microsoft => "microsoft",
            Self::Apple => "apple",
        }
    }

    /// The provider of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == name)
    }

    /// The hosts at which the world knows it.
    #[must_use]
    pub fn hosts(self) -> &'static [&'static str] {
        match self {
            Self::Google => &[
                "accounts.google.com",
                "oauth2.googleapis.com",
                "www.googleapis.com",
                "openidconnect.googleapis.com",
            ],
            Self::Github => &["github.com", "api.github.com"],
            Self::Microsoft => &["login.microsoftonline.com", "graph.microsoft.com"],
            Self::Apple => &["appleid.apple.com"],
        }
    }
}

/// The origins of one provider.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// At the hosts at which the world knows it.
    World,
    /// All at one origin, without a slash at its end.
    At(String),
}

impl Place {
    /// The origin of one of a provider's hosts.
    pub(crate) fn origin(&self, host: &str) -> String {
        match self {
            Self::World => format!("https://{host}"),
            Self::At(origin) => origin.clone(),
        }
    }

    /// The hosts at which a provider is.
    pub(crate) fn hosts(&self, provider: Provider) -> impl Iterator<Item = &str> {
        let (known, own) = match self {
            Self::World => (provider.hosts(), None),
            Self::At(origin) => {
                (&[][..], origin.split("://").nth(1).and_then(|rest| rest.split([':', '/']).next()))
            }
        };
        known.iter().copied().chain(own)
    }
}
