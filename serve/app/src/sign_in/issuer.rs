//! The issuer, as the application asks it: how it describes itself, its keys, and an ID token for a code.

use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foundation::cached::Cached;
use foundation::clock::Clock;
use foundation::http_client::{Answer, HttpClient, HttpError};
use foundation::jwt::{JwtError, KeySet, Published};
use jsonwebtoken::Header;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::{Url, form_urlencoded};

use super::token::{Expected, IdToken, Logout, LogoutToken, Somebody, TokenError};
use crate::config::IssuerConfig;

/// What the application asks to know of a person.
const SCOPE: &str = "openid email profile";

/// Why the issuer could not be asked, or what was wrong with its answer.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// No answer.
    #[error("asking the issuer for {what} at {url}: {source}")]
    Http {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: Url,
        /// What went wrong.
        source: HttpError,
    },
    /// An answer that is none.
    #[error("asking the issuer for {what} at {url}: it answered {status}")]
    Status {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: Url,
        /// The answer.
        status: StatusCode,
    },
    /// The description is not that of the configured issuer.
    #[error("the issuer's description at {url} {problem}; check OIDC_ISSUER")]
    Description {
        /// Where it is.
        url: Url,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It was just asked in vain.
    #[error("the issuer did not answer a moment ago")]
    JustFailed,
    /// The application is not known to the issuer, or its secret is not.
    #[error(
        "the issuer does not accept this application ({0}); check OIDC_CLIENT_ID and OIDC_CLIENT_SECRET_FILE"
    )]
    Client(String),
    /// The code is none, or was used before, or is somebody else's.
    #[error("the issuer does not accept the code")]
    Code,
    /// The token is not to be believed.
    #[error("the issuer's token is not believed: {0}")]
    Token(#[from] TokenError),
}

/// How the issuer describes itself (OpenID Connect Discovery 1.0).
#[derive(Debug, Clone, Deserialize)]
pub struct Description {
    issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    /// Where people sign out.
    pub end_session_endpoint: Option<Url>,
    /// Whether it says in its answer who it is (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// What the issuer answers to a code.
#[derive(Deserialize)]
struct Redeemed {
    id_token: String,
}

/// What the issuer answers instead (RFC 6749, section 5.2).
#[derive(Default, Deserialize)]
struct Refusal {
    error: String,
}

/// What a person is sent to the issuer with.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Comes back with the answer.
    pub state: &'a str,
    /// Comes back in the ID token.
    pub nonce: &'a str,
    /// The SHA-256 of what redeems the code (RFC 7636).
    pub challenge: &'a str,
}

/// The one issuer.
#[derive(Debug)]
pub struct Issuer {
    config: IssuerConfig,
    redirect_uri: Url,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    description: Cached<Description>,
    keys: Cached<KeySet>,
}

impl Issuer {
    /// Nothing is asked yet: the application starts without its issuer.
    pub fn new(config: IssuerConfig, redirect_uri: Url, http: HttpClient, clock: Arc<dyn Clock>) -> Self {
        let (description, keys) = (Cached::default(), Cached::default());
        Self { config, redirect_uri, http, clock, description, keys }
    }

    /// The issuer's name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The site that it is.
    pub fn origin(&self) -> String {
        self.config.discovery.origin().ascii_serialization()
    }

    /// The application's name at the issuer.
    pub fn client_id(&self) -> &str {
        &self.config.client_id
    }

    /// How the issuer describes itself.
    pub async fn description(&self) -> Result<Arc<Description>, IssuerError> {
        let known = self.description.get(self.clock.now(), async || self.ask_description().await).await?;
        known.ok_or(IssuerError::JustFailed)
    }

    /// Where to send somebody to sign in.
    pub async fn authorization(&self, question: Question<'_>) -> Result<Url, IssuerError> {
        let mut url = self.description().await?.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", self.redirect_uri.as_str())
            .append_pair("scope", SCOPE)
            .append_pair("state", question.state)
            .append_pair("nonce", question.nonce)
            .append_pair("code_challenge", question.challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// The ID token for a code, as it came.
    pub async fn redeem(&self, code: &str, verifier: &str) -> Result<String, IssuerError> {
        let url = self.description().await?.token_endpoint.clone();
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", verifier),
        ];
        let headers = HeaderMap::from_iter([(AUTHORIZATION, self.credential())]);
        let what = "an ID token";
        let answer = match self.http.post_form(&url, headers, &fields).await {
            Ok(answer) => answer,
            Err(source) => {
                self.description.forget().await;
                return Err(IssuerError::Http { what, url, source });
            }
        };
        match answer.status {
            StatusCode::OK => match answer.json::<Redeemed>() {
                Ok(redeemed) => Ok(redeemed.id_token),
                Err(source) => Err(IssuerError::Http { what, url, source }),
            },
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => Err(refusal(&answer)),
            status => {
                self.description.forget().await;
                Err(IssuerError::Status { what, url, status })
            }
        }
    }

    /// Who somebody is, by the ID token that was redeemed.
    pub async fn identify(&self, token: &str, nonce: &str) -> Result<Somebody, IssuerError> {
        let (header, claims) = self.verify::<IdToken>(token).await?;
        Ok(claims.check(&header, &self.expected(), nonce)?)
    }

    /// Whose sessions have ended at the issuer, by its logout token.
    pub async fn logout(&self, token: &str) -> Result<Logout, IssuerError> {
        let (header, claims) = self.verify::<LogoutToken>(token).await?;
        Ok(claims.check(&header, &self.expected())?)
    }

    /// What a token says that the issuer has signed. Where no known key has, the issuer may have new ones.
    async fn verify<T: DeserializeOwned>(&self, token: &str) -> Result<(Header, T), IssuerError> {
        let now = self.clock.now();
        let known = self.keys.get(now, async || self.ask_keys().await).await?;
        let known = known.ok_or(IssuerError::JustFailed)?;
        match known.verify(token) {
            Err(JwtError::NotSigned) => {}
            verified => return Ok(verified.map_err(TokenError::from)?),
        }
        match self.keys.get_newer(&known, now, async || self.ask_keys().await).await? {
            Some(newer) => Ok(newer.verify(token).map_err(TokenError::from)?),
            None => Err(TokenError::from(JwtError::NotSigned).into()),
        }
    }

    fn expected(&self) -> Expected<'_> {
        let IssuerConfig { name, client_id, .. } = &self.config;
        Expected { issuer: name, client_id, now: self.clock.now() }
    }

    /// `client_secret_basic` (RFC 6749, section 2.3.1): both parts are encoded as in forms before they are joined.
    fn credential(&self) -> HeaderValue {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let (id, secret) = (&self.config.client_id, self.config.client_secret.expose());
        let pair = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
        let mut value =
            HeaderValue::try_from(format!("Basic {pair}")).expect("base 64 is allowed in a header");
        value.set_sensitive(true);
        value
    }

    async fn ask_description(&self) -> Result<Description, IssuerError> {
        let url = &self.config.discovery;
        let description: Description = self.ask("its description", url).await?;
        let wrong = |problem| IssuerError::Description { url: url.clone(), problem };
        if description.issuer != self.config.name {
            return Err(wrong("is another issuer's"));
        }
        let Description { authorization_endpoint, token_endpoint, jwks_uri, end_session_endpoint, .. } =
            &description;
        let all = [authorization_endpoint, token_endpoint, jwks_uri].into_iter().chain(end_session_endpoint);
        if all.into_iter().any(|endpoint| endpoint.scheme() != "https") {
            return Err(wrong("has an endpoint that is not https"));
        }
        Ok(description)
    }

    async fn ask_keys(&self) -> Result<KeySet, IssuerError> {
        let url = self.description().await?.jwks_uri.clone();
        match self.ask::<Published>("its keys", &url).await {
            Ok(published) => {
                let keys = KeySet::of(published);
                tracing::info!(keys = keys.len(), "the issuer's keys were read");
                Ok(keys)
            }
            Err(error) => {
                // Perhaps they are elsewhere now.
                self.description.forget().await;
                Err(error)
            }
        }
    }

    async fn ask<T: DeserializeOwned>(&self, what: &'static str, url: &Url) -> Result<T, IssuerError> {
        let failed = |source| IssuerError::Http { what, url: url.clone(), source };
        let answer = self.http.get(url).await.map_err(failed)?;
        if answer.status != StatusCode::OK {
            return Err(IssuerError::Status { what, url: url.clone(), status: answer.status });
        }
        answer.json().map_err(failed)
    }
}

/// The issuer's own word for why it refuses, where it is a word.
fn refusal(answer: &Answer) -> IssuerError {
    let Refusal { error } = answer.json().unwrap_or_default();
    if error == "invalid_grant" {
        return IssuerError::Code;
    }
    let word = error.len() <= 40 && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    IssuerError::Client(if word && !error.is_empty() { error } else { answer.status.to_string() })
}
