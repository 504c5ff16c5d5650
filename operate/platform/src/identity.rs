//! Settings of the issuer: who stands behind it, and which login providers it brokers.

use crate::Platform;
use crate::app::ServiceUrl;
use crate::host::{Host, Role};
use std::path::PathBuf;
use toml::value::Date;

/// The client that the application is at the platform's own issuer.
pub const APP_CLIENT: &str = "app";

/// The issuer's settings.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// Which broker is the issuer.
    pub broker: Broker,
    /// Static binary of Bastide's own broker; none means the one beside `bastide`.
    pub binary: Option<PathBuf>,
    /// Where people reach the issuer, and what it calls itself; none means `id.` before the platform's domain.
    pub domain: Option<String>,
    /// When a new identity joins an existing account.
    pub linking: Linking,
    /// Who keeps the login providers' access tokens.
    pub upstream_tokens: TokenKeeper,
    /// Login providers that the file names, in the file's order.
    pub providers: Vec<LoginProvider>,
    /// Further login providers, which speak OpenID Connect as its text says.
    pub oidc: Vec<OidcProvider>,
    /// Applications beside the platform's own that let their people sign in here.
    pub clients: Vec<Client>,
    /// Authentik, where it is the broker.
    pub authentik: AuthentikSettings,
}

impl IdentitySettings {
    /// Whether anybody stands behind the issuer, so that somebody could sign in.
    pub fn has_provider(&self) -> bool {
        !self.providers.is_empty() || !self.oidc.is_empty()
    }
}

impl Platform {
    /// The host on which the issuer runs; none where the platform has no issuer of its own, because no host is for it or
    /// no login provider stands behind it.
    pub fn issuer_host(&self) -> Option<&Host> {
        self.hosts_with(Role::Identity).next().filter(|_| self.settings.identity.has_provider())
    }

    /// The issuer's name in DNS.
    pub fn issuer_domain(&self) -> String {
        self.settings.identity.domain.clone().unwrap_or_else(|| format!("id.{}", self.domain))
    }

    /// Where people reach the issuer.
    pub fn issuer_url(&self) -> String {
        format!("https://{}", self.issuer_domain())
    }

    /// What the issuer calls itself towards the platform's own application.
    ///
    /// Authentik has a name for each client, with a slash at its end.
    pub fn app_issuer(&self) -> String {
        match self.settings.identity.broker {
            Broker::Bastide => self.issuer_url(),
            Broker::Authentik => format!("{}/application/o/{APP_CLIENT}/", self.issuer_url()),
        }
    }

    /// Whether people sign in to the application at the platform's own issuer: where the file names no other.
    pub fn signs_in_at_own_issuer(&self) -> bool {
        self.settings.app.sign_in.is_none() && self.issuer_host().is_some()
    }
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
    /// Identifier that it gave the issuer; empty in a lab's file where the lab has one.
    pub client_id: String,
    /// How the issuer proves to it who asks.
    pub credential: Credential,
    /// Scopes asked for.
    pub scopes: Vec<String>,
    /// The Workspace domain whose people alone may sign in (Google).
    pub hosted_domain: Option<String>,
    /// `common`, `organizations`, `consumers` or a tenant's id (Microsoft); none means `common`.
    pub tenant: Option<String>,
    /// Where it is, if not where everybody's is.
    pub at: Option<ServiceUrl>,
}

/// A login provider that speaks OpenID Connect as its text says.
#[derive(Debug, Clone)]
pub struct OidcProvider {
    /// By which paths and identities name it.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// The issuer, as it names itself in its tokens.
    pub issuer: ServiceUrl,
    /// Identifier that it gave the issuer.
    pub client_id: String,
    /// Further hosts at which it is, beside the issuer's own.
    pub hosts: Vec<String>,
    /// File that holds the secret that it gave the issuer.
    pub client_secret_file: PathBuf,
    /// Day on which the secret stops working, where the provider sets one.
    pub client_secret_expires: Option<Date>,
    /// Scopes asked for.
    pub scopes: Vec<String>,
    /// Whether its word for an address counts.
    pub vouches: bool,
}

/// An application that lets its people sign in at the issuer.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it calls itself.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where people may be sent back to, letter for letter.
    pub redirect_uris: Vec<String>,
    /// Where people may be sent after signing out, letter for letter.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told that a session has ended.
    pub back_channel_logout_uri: Option<String>,
    /// Public keys (JWK set) with which it proves who it is; none means a secret that `bastide` makes.
    pub keys_file: Option<PathBuf>,
    /// Whether its requests must have a code challenge.
    pub pkce: Pkce,
    /// With which algorithm its ID tokens are signed.
    pub algorithm: Algorithm,
    /// Scopes that it may ask for.
    pub scopes: Vec<String>,
    /// Whether it may have login providers' access tokens by exchange.
    pub upstream_tokens: bool,
}

/// Whether a client's requests must have a code challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pkce {
    /// They must.
    Required,
    /// They may.
    Optional,
}

impl Pkce {
    /// The policy as the issuer's file has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Pkce::Required => "required",
            Pkce::Optional => "optional",
        }
    }
}

/// With which algorithm ID tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// RSA with PKCS #1 v1.5 and SHA-256.
    Rs256,
}

impl Algorithm {
    /// The algorithm as tokens name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::Rs256 => "RS256",
        }
    }
}

/// Authentik, where it is the broker.
#[derive(Debug, Clone)]
pub struct AuthentikSettings {
    /// Its image, by digest.
    pub image: Option<String>,
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
        /// Day on which it is to be replaced, where somebody has set one.
        expires: Option<Date>,
    },
    /// One that the lab makes, whose own login providers know the issuer by it.
    Lab,
}
