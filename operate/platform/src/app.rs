//! Settings of the application: its container, and the services outside that it is told of.

use std::fmt;
use std::path::PathBuf;

/// The application's container.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// Static binary of which `bastide` makes the image; none means the reference application beside `bastide`.
    pub binary: Option<PathBuf>,
    /// Plain environment variables, beyond those of the contract.
    pub environment: Vec<(String, String)>,
    /// Other directories of the container that are writable memory; `/tmp` always is.
    pub tmpfs: Vec<String>,
    /// Whether the container's root file system is read-only.
    pub read_only: bool,
    /// How the container is on the network.
    pub network: ContainerNetwork,
    /// Who says who people are; without it nobody signs in.
    pub sign_in: Option<SignIn>,
    /// How mail is sent; without it nothing is.
    pub mail: Option<Mail>,
    /// Where errors are reported: a DSN as Sentry has it.
    pub error_tracker: Option<ServiceUrl>,
    /// Authorities (PEM file) that are trusted for services outside, beside the public ones.
    pub extra_authority: Option<PathBuf>,
}

/// How a container is on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerNetwork {
    /// It shares the host's network; ufw holds for it as for any process.
    Host,
    /// A network of Docker's with published ports, which bypass ufw.
    Bridge,
}

/// An issuer of OpenID Connect, and the client that the application is there.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The issuer, as it names itself in its tokens.
    pub issuer: ServiceUrl,
    /// Identifier that it gave the application.
    pub client_id: String,
    /// File that holds the secret that it gave the application.
    pub client_secret_file: PathBuf,
}

/// A server that takes mail for others.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The server, with the user who logs in there.
    pub url: ServiceUrl,
    /// Whom mail is from.
    pub from: String,
    /// File that holds the user's password; none where nobody logs in.
    pub password_file: Option<PathBuf>,
}

/// A service outside the platform: a URL with a host, without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    pub(crate) text: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl ServiceUrl {
    /// The https site of a host.
    pub fn of_site(host: &str) -> Self {
        Self { text: format!("https://{host}"), host: host.to_owned(), port: 443 }
    }

    /// The URL as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host: a name or an address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port, also where the URL leaves it to its scheme.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
