//! Settings of the issuer: who stands behind it, and which login providers it brokers.

use std::path::PathBuf;
use toml::value::Date;

/// The issuer's settings.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// Which broker is the issuer.
    pub broker: Broker,
    /// When a new identity joins an existing account.
    pub linking: Linking,
    /// Who keeps the login providers' access tokens.
    pub upstream_tokens: TokenKeeper,
    /// Login providers that the file names, in the file's order.
    pub providers: Vec<LoginProvider>,
}

/// Which broker is the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    /// Bastide's own.
    Bastide,
    /// Authentik.
    Authentik,
}

/// When a new identity joins an existing account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linking {
    /// Without asking if the provider vouches for the address now and the account's address was vouched for.
    Vouched,
    /// Never without a session of the existing account.
    Ask,
    /// Whenever the addresses are the same.
    Address,
}

/// Who keeps the login providers' access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKeeper {
    /// The issuer; the application asks for one by token exchange.
    Issuer,
    /// The application's database.
    Application,
}

/// A service at which people already have an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Every provider.
    pub const ALL: [Provider; 4] = [Provider::Google, Provider::Github, Provider::Microsoft, Provider::Apple];

    /// The provider as it is written in `platform.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::Google => "google",
            Provider::Github => "github",
            Provider::Microsoft => "microsoft",
            Provider::Apple => "apple",
        }
    }

    /// Scopes that a login needs.
    pub fn scopes(self) -> &'static [&'static str] {
        match self {
            Provider::Google => &["openid", "email", "profile"],
            Provider::Github => &["read:user", "user:email"],
            Provider::Microsoft => &["openid", "email", "profile", "offline_access"],
            Provider::Apple => &["name", "email"],
        }
    }
}

/// One login provider, as registered with it.
#[derive(Debug, Clone)]
pub struct LoginProvider {
    /// Which.
    pub provider: Provider,
    /// Identifier that it gave the issuer.
    pub client_id: String,
    /// How the issuer proves to it who asks.
    pub credential: Credential,
    /// Scopes asked for.
    pub scopes: Vec<String>,
}

/// How the issuer proves to a login provider who asks. Files, never values: no secret stands in a platform file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A secret that the provider issued.
    Secret {
        /// File that holds it.
        file: PathBuf,
        /// Day on which it stops working, where the provider sets one.
        expires: Option<Date>,
    },
    /// A certificate registered with the provider (Microsoft).
    Certificate {
        /// PEM file of the certificate.
        certificate: PathBuf,
        /// PEM file of its private key.
        key: PathBuf,
    },
    /// A key with which the issuer signs its own short-lived secret (Apple).
    SigningKey {
        /// The .p8 file.
        file: PathBuf,
        /// Identifier of the key.
        key_id: String,
        /// Identifier of the team it belongs to.
        team_id: String,
    },
}
