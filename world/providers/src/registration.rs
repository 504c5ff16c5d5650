//! A client, as it is registered with a provider.

use url::Url;

/// A client of a provider.
#[derive(Debug, Clone)]
pub struct Registration {
    /// What the provider calls it.
    pub client_id: String,
    /// Where people are sent back to, letter for letter.
    pub redirect_uris: Vec<String>,
    /// How it proves who it is.
    pub proof: Proof,
    /// Where Apple tells it what becomes of its people.
    pub notifications: Option<Url>,
    /// Whether it has asked Microsoft for the optional claim `xms_edov`.
    pub tells_edov: bool,
    /// Whether its tokens of GitHub end and can be refreshed, as those of a GitHub App do.
    pub tokens_end: bool,
}

/// How a client proves who it is.
#[derive(Clone)]
pub enum Proof {
    /// By a secret that the provider has made.
    Secret(String),
    /// By assertions that the key of this certificate has signed (Microsoft). PEM.
    Certificate(String),
    /// By secrets that it signs itself (Apple).
    Key {
        /// The private key that Apple has made and given to the client, PEM.
        pem: String,
        /// What Apple calls the key.
        key_id: String,
        /// Whose key it is.
        team_id: String,
    },
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Secret(_) => "Secret(…)",
            Self::Certificate(_) => "Certificate(…)",
            Self::Key { .. } => "Key(…)",
        })
    }
}

impl Registration {
    /// A client of this id that is sent back to one place.
    #[must_use]
    pub fn new(client_id: &str, redirect_uri: &str, proof: Proof) -> Self {
        Self {
            client_id: client_id.to_owned(),
            redirect_uris: vec![redirect_uri.to_owned()],
            proof,
            notifications: None,
            tells_edov: false,
            tokens_end: false,
        }
    }
}
