//! What Authentik is to be, as `bastide` writes it for this program.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Everything that Authentik is to be. Secrets are files whose paths stand in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Where its API is: `http://127.0.0.1:9001`.
    pub url: String,
    /// The token with which its API is asked.
    pub token_file: PathBuf,
    /// The certificate that it shows to the edge (PEM).
    pub certificate_file: PathBuf,
    /// Its key (PEM).
    pub key_file: PathBuf,
    /// Applications that sign their people in there.
    pub clients: Vec<Client>,
    /// Login providers.
    pub sources: Vec<Source>,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// What it calls itself; also the name in its issuer's URL.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its secret.
    pub secret_file: PathBuf,
    /// Where people may be sent back to, letter for letter.
    pub redirect_uris: Vec<String>,
    /// Where people may be sent after signing out, letter for letter.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told that a session has ended.
    pub back_channel_logout_uri: Option<String>,
    /// What signs its ID tokens.
    pub algorithm: Algorithm,
    /// Scopes that it may ask for.
    pub scopes: Vec<String>,
}

/// What signs ID tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    ES256,
    /// RSA with PKCS #1 v1.5 and SHA-256.
    RS256,
}

/// A login provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Which.
    pub kind: Kind,
    /// What it calls the issuer.
    pub client_id: String,
    /// Its secret, or Apple's signing key.
    pub secret_file: PathBuf,
    /// Whose signing key that is.
    pub apple: Option<AppleKey>,
    /// Whose people may sign in (Microsoft).
    pub tenant: Option<String>,
    /// Scopes that are asked for.
    pub scopes: Vec<String>,
    /// Whether somebody new with the address of an account joins it.
    pub joins_by_address: bool,
}

/// Which key of Apple's a signing key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppleKey {
    /// The key's id.
    pub key_id: String,
    /// The team's id.
    pub team_id: String,
}

/// A login provider as the platform file names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Google.
    Google,
    /// GitHub.
    Github,
    /// Microsoft Entra ID.
    Microsoft,
    /// Apple.
    Apple,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Google, Kind::Github, Kind::Microsoft, Kind::Apple];

    /// Its name in paths.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Kind::Google => "google",
            Kind::Github => "github",
            Kind::Microsoft => "microsoft",
            Kind::Apple => "apple",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Kind::Google => "Google",
            Kind::Github => "GitHub",
            Kind::Microsoft => "Microsoft",
            Kind::Apple => "Apple",
        }
    }
}

/// Why it is not known what Authentik is to be.
#[derive(Debug, thiserror::Error)]
pub enum WantedError {
    /// A file cannot be read.
    #[error("reading {path}: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something else than it should.
    #[error("reading {path}: {source}")]
    Malformed {
        /// Which.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Contents of the files that [`Wanted`] names; never printed.
pub struct Secrets(BTreeMap<PathBuf, String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secrets(…)")
    }
}

fn text(path: &Path) -> Result<String, WantedError> {
    std::fs::read_to_string(path)
        .map_err(|source| WantedError::Unreadable { path: path.display().to_string(), source })
}

impl Wanted {
    /// Reads the file and those that it names.
    ///
    /// # Errors
    /// Where one cannot be read, or the file says something else than it should.
    pub fn read(path: &Path) -> Result<(Self, Secrets), WantedError> {
        let wanted: Self = serde_json::from_str(&text(path)?)
            .map_err(|source| WantedError::Malformed { path: path.display().to_string(), source })?;
        let clients = wanted.clients.iter().map(|client| &client.secret_file);
        let sources = wanted.sources.iter().map(|source| &source.secret_file);
        let own = [&wanted.token_file, &wanted.certificate_file, &wanted.key_file];
        let files = own.into_iter().chain(clients).chain(sources);
        let contents = files.map(|path| Ok((path.clone(), text(path)?))).collect::<Result<_, _>>()?;
        Ok((wanted, Secrets(contents)))
    }

    /// Stands for everything that is wanted, secrets included, of which Authentik does not tell what it has.
    #[must_use]
    pub fn digest(&self, secrets: &Secrets) -> String {
        let mut hash = Sha256::new();
        hash.update(serde_json::to_vec(self).unwrap_or_default());
        for content in secrets.0.values() {
            hash.update(content.len().to_be_bytes());
            hash.update(content);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Secrets {
    /// What stands in a file, without the line's end after it.
    #[must_use]
    pub fn line(&self, path: &Path) -> String {
        self.document(path).trim_end_matches(['\r', '\n']).to_owned()
    }

    /// What stands in a file.
    #[must_use]
    pub fn document(&self, path: &Path) -> &str {
        self.0.get(path).map(String::as_str).unwrap_or_default()
    }
}
