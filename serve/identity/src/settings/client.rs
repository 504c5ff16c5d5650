//! A client: an application that lets its people sign in here.

use std::path::PathBuf;

use foundation::jwt::{KeySet, Published};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use std::sync::Arc;
use url::Url;

use super::Problems;

/// Scopes that there are.
pub const SCOPES: [&str; 4] = ["openid", "email", "profile", "offline_access"];
/// The scope by which a client gets the login providers' access tokens of a person who lets it. There is no need to list it:
/// `upstream_tokens` says who may ask for it.
pub const UPSTREAM_TOKENS: &str = "upstream_tokens";

/// An application that lets its people sign in here.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it calls itself.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// How it proves who it is.
    pub proof: Proof,
    /// Where people may be sent back to, letter for letter.
    pub redirect_uris: Vec<String>,
    /// Where people may be sent after signing out, letter for letter.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told that a session has ended.
    pub back_channel_logout_uri: Option<Url>,
    /// Whether its requests must have a code challenge.
    pub requires_pkce: bool,
    /// With which algorithm its ID tokens are signed.
    pub algorithm: Algorithm,
    /// Scopes that it may ask for.
    pub scopes: Vec<String>,
    /// Whether it may have login providers' access tokens by exchange, of people who let it.
    pub may_exchange: bool,
}

/// How a client proves who it is.
#[derive(Clone)]
pub enum Proof {
    /// By a secret: the SHA-256 of it.
    Secret([u8; 32]),
    /// By assertions that it signs with one of these keys (RFC 7523).
    Keys(Arc<KeySet>),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Secret(_) => "Secret(…)",
            Self::Keys(_) => "Keys(…)",
        })
    }
}

/// With what the issuer signs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    #[default]
    ES256,
    /// RSA with PKCS #1 v1.5 and SHA-256.
    RS256,
}

impl Algorithm {
    /// As tokens and key sets name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ES256 => "ES256",
            Self::RS256 => "RS256",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::ES256, Self::RS256].into_iter().find(|algorithm| algorithm.name() == name)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Pkce {
    #[default]
    Required,
    Optional,
}

/// A client as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    id: String,
    name: Option<String>,
    secret_file: Option<PathBuf>,
    keys_file: Option<PathBuf>,
    redirect_uris: Vec<String>,
    #[serde(default)]
    post_logout_redirect_uris: Vec<String>,
    back_channel_logout_uri: Option<String>,
    #[serde(default)]
    pkce: Pkce,
    #[serde(default)]
    algorithm: Algorithm,
    scopes: Option<Vec<String>>,
    #[serde(default)]
    upstream_tokens: bool,
}

impl Written {
    pub(super) fn check(self, problems: &mut Problems) -> Option<Client> {
        let place = format!("client {:?}", self.id);
        let before = problems.0.len();
        if self.id.is_empty() || self.id.len() > 128 || !self.id.bytes().all(|byte| byte.is_ascii_graphic()) {
            problems.say(&place, "its id is not of 1 to 128 visible ASCII characters");
        }
        if self.redirect_uris.is_empty() {
            problems.say(&place, "it has no redirect_uris");
        }
        for uri in self.redirect_uris.iter().chain(&self.post_logout_redirect_uris) {
            if !is_redirect(uri) {
                let why = "is not an https URL without a fragment; only loopback addresses may be http";
                problems.say(&place, format_args!("{uri:?} {why}"));
            }
        }
        let back_channel_logout_uri = self.back_channel_logout_uri.and_then(|text| {
            let url =
                Url::parse(&text).ok().filter(|url| url.scheme() == "https" && url.fragment().is_none());
            if url.is_none() {
                problems.say(&place, "back_channel_logout_uri is not an https URL without a fragment");
            }
            url
        });
        let mut scopes = self.scopes.unwrap_or_else(|| SCOPES[..3].iter().map(ToString::to_string).collect());
        for scope in scopes.iter().filter(|scope| !SCOPES.contains(&scope.as_str())) {
            problems
                .say(&place, format_args!("there is no scope {scope:?}; there are {}", SCOPES.join(", ")));
        }
        if self.upstream_tokens {
            scopes.push(UPSTREAM_TOKENS.to_owned());
        }
        let proof = match (self.secret_file, self.keys_file) {
            (Some(path), None) => problems.file(&place, &path).and_then(|secret| {
                if secret.len() < 32 {
                    problems.say(&place, "its secret has less than 32 characters");
                    return None;
                }
                let mut hash = [0; 32];
                hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
                Some(Proof::Secret(hash))
            }),
            (None, Some(path)) => problems.file(&place, &path).and_then(|text| {
                let keys = serde_json::from_str::<Published>(&text).ok().map(KeySet::of);
                let keys = keys.filter(|keys| !keys.is_empty());
                if keys.is_none() {
                    let path = path.display();
                    problems.say(
                        &place,
                        format_args!("{path} is not a key set with a key for ES256, RS256 or PS256"),
                    );
                }
                keys.map(|keys| Proof::Keys(Arc::new(keys)))
            }),
            _ => {
                problems.say(&place, "name either its secret_file or its keys_file");
                None
            }
        };
        (problems.0.len() == before).then_some(())?;
        Some(Client {
            name: self.name.unwrap_or_else(|| self.id.clone()),
            id: self.id,
            proof: proof?,
            redirect_uris: self.redirect_uris,
            post_logout_redirect_uris: self.post_logout_redirect_uris,
            back_channel_logout_uri,
            requires_pkce: matches!(self.pkce, Pkce::Required),
            algorithm: self.algorithm,
            scopes,
            may_exchange: self.upstream_tokens,
        })
    }
}

/// Compared letter for letter, so it has to be in the form in which clients send it; what a browser would read as
/// somewhere else is none.
fn is_redirect(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]"));
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*' && byte != b'\\');
    scheme && plain && url.has_host() && url.fragment().is_none() && url.username().is_empty()
}
