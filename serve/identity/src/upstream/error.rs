//! Why somebody who comes back from a login provider is not let in, or a login provider could not be asked.

use axum::http::StatusCode;
use foundation::http_client::HttpError;
use foundation::jwt::JwtError;
use url::Url;

use crate::pages::Failure;

/// Why a login provider could not be asked, or is not believed.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No answer.
    #[error("asking for {what} at {url}: {source}")]
    Http {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: Box<Url>,
        /// What went wrong.
        source: HttpError,
    },
    /// An answer that is none.
    #[error("asking for {what} at {url}: it answered {status}")]
    Status {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: Box<Url>,
        /// The answer.
        status: StatusCode,
    },
    /// The description is not that of the configured provider.
    #[error("the description at {url} {problem}")]
    Description {
        /// Where it is.
        url: Box<Url>,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It is left alone for a while.
    #[error("it did not answer a moment ago and is left alone")]
    Resting,
    /// Too many wait for it already.
    #[error("too many wait for it already")]
    Busy,
    /// It says that it cannot serve now.
    #[error("it says that it cannot serve now")]
    Unable,
    /// The issuer is not known to it, or not registered as it asks.
    #[error(
        "it does not accept the issuer ({0}); check how the issuer is registered there, and its credential"
    )]
    Issuer(String),
    /// The issuer could not sign what proves who it is.
    #[error("proving to it who the issuer is: the credential's key does not sign")]
    Signature,
    /// The code is none, or was used before, or is another client's.
    #[error("it does not accept the code")]
    Code,
    /// Another one answered.
    #[error("another login provider has answered")]
    Answerer,
    /// The person was sent to another one.
    #[error("the person was sent to another login provider")]
    OtherProvider,
    /// The answer says neither yes nor no.
    #[error("its answer has neither a code nor an error")]
    Empty,
    /// The person does not want to.
    #[error("the person refused")]
    Refused,
    /// The person's organization has to allow it first.
    #[error("the person's organization has to allow it first")]
    ConsentNeeded,
    /// The person is of another organization.
    #[error("the person is of another organization")]
    OtherOrganization,
    /// The token is not to be believed.
    #[error("its token is not believed: {0}")]
    Token(#[from] TokenError),
}

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a token that the provider has signed.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// There is none.
    #[error("there is none")]
    Missing,
    /// It is a token of another kind.
    #[error("it is a token of another kind")]
    Kind,
    /// Another issuer has made it.
    #[error("it is another issuer's")]
    Issuer,
    /// The key that has signed it is another issuer's.
    #[error("the key that has signed it is another issuer's")]
    KeyIssuer,
    /// It is for another client.
    #[error("it is for another client")]
    Audience,
    /// It does not say when it was issued or ends.
    #[error("it does not say when it was issued or ends")]
    Timeless,
    /// It has ended, or was issued too long ago.
    #[error("it is too old")]
    Old,
    /// It is for a later time.
    #[error("it is for a later time")]
    Early,
    /// It is the answer to another question.
    #[error("it is the answer to another question")]
    Nonce,
    /// It belongs to another access token.
    #[error("it belongs to another access token")]
    AccessToken,
    /// It names nobody.
    #[error("it names nobody")]
    Subject,
    /// It has no name by which it would be known again.
    #[error("it has no name by which it would be known again")]
    Nameless,
    /// It says that nothing happened.
    #[error("it tells of nothing")]
    Eventless,
}

impl TokenError {
    /// A stable name, for the audit log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Jwt(JwtError::Malformed) => "token-malformed",
            Self::Jwt(JwtError::Algorithm) => "token-algorithm",
            Self::Jwt(JwtError::NotSigned) => "token-not-signed",
            Self::Missing => "token-missing",
            Self::Kind => "token-kind",
            Self::Issuer => "token-issuer",
            Self::KeyIssuer => "token-key-issuer",
            Self::Audience => "token-audience",
            Self::Timeless => "token-timeless",
            Self::Old => "token-old",
            Self::Early => "token-early",
            Self::Nonce => "token-nonce",
            Self::AccessToken => "token-access-token",
            Self::Subject => "token-subject",
            Self::Nameless => "token-nameless",
            Self::Eventless => "token-eventless",
        }
    }
}

impl UpstreamError {
    /// What the person is told.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Http { .. }
            | Self::Status { .. }
            | Self::Description { .. }
            | Self::Resting
            | Self::Busy
            | Self::Unable
            | Self::Issuer(_)
            | Self::Signature => Failure::ProviderUnavailable,
            Self::Code | Self::Answerer | Self::OtherProvider | Self::Empty | Self::Token(_) => {
                Failure::NotBelieved
            }
            Self::Refused => Failure::Refused,
            Self::ConsentNeeded => Failure::ConsentNeeded,
            Self::OtherOrganization => Failure::OtherOrganization,
        }
    }

    /// Whether somebody may have brought what was never given to them. Whoever was refused, or refuses, has not.
    pub fn is_suspicious(&self) -> bool {
        self.failure() == Failure::NotBelieved
    }

    /// A stable name for the audit log, where somebody was not let in and it is not for a failure of a machine.
    pub fn denial(&self) -> Option<&'static str> {
        match self {
            Self::Code => Some("code-refused"),
            Self::Answerer => Some("other-issuer"),
            Self::OtherProvider => Some("other-provider"),
            Self::Empty => Some("no-code"),
            Self::Refused => Some("refused-by-person"),
            Self::ConsentNeeded => Some("consent-needed"),
            Self::OtherOrganization => Some("other-organization"),
            Self::Token(error) => Some(error.reason()),
            _ => None,
        }
    }

    /// Writes it into the log: as an error where somebody has to do something about it.
    pub fn log(&self, provider: &str) {
        match self {
            Self::Issuer(_) | Self::Description { .. } | Self::Signature => {
                tracing::error!(error = %self, provider, "nobody can sign in with a login provider");
            }
            Self::Refused => tracing::info!(provider, "a person refused at a login provider"),
            _ => tracing::warn!(error = %self, provider, "a sign-in with a login provider failed"),
        }
    }
}
