//! What a provider can be told to do wrong.

use serde::{Deserialize, Serialize};
use url::Url;

/// What a provider does wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// The ID token answers another question.
    WrongNonce,
    /// It is for another client.
    WrongAudience,
    /// It is for this client among others, and was issued to another.
    OtherParty,
    /// It is another issuer's.
    WrongIssuer,
    /// It has ended.
    Expired,
    /// It is from a later time.
    Future,
    /// It is not signed, and says so.
    NoAlgorithm,
    /// It is signed with the client's secret.
    SignedWithSecret,
    /// It is signed with the public key, as if that were a secret.
    SignedWithPublicKey,
    /// It is signed with a key that was never published.
    UnknownKey,
    /// It is signed with such a key under the name of one that was.
    ForgedKey,
    /// It belongs to another access token.
    WrongAtHash,
    /// It names another tenant than its issuer (Microsoft).
    ForgedTenant,
    /// A company's token is signed with the key for private people (Microsoft).
    ConsumersKey,
    /// The answer comes back in the name of another issuer.
    OtherIssuerAnswers,
    /// The description is another issuer's.
    OtherDescription,
    /// The description leads elsewhere for tokens and keys.
    DescriptionLeads {
        /// Where.
        to: Url,
    },
    /// The token endpoint sends whoever asks elsewhere.
    TokenRedirects {
        /// Where.
        to: Url,
    },
    /// Every answer sends whoever asks elsewhere.
    Redirects {
        /// Where.
        to: Url,
    },
    /// The token endpoint answers with a page.
    Nonsense,
    /// Every answer is endless.
    TooLong,
    /// Every answer is an error.
    Down,
    /// Every answer takes this long.
    Slow {
        /// How long.
        milliseconds: u64,
    },
}
