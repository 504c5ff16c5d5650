//! One login provider, as the issuer asks it.

use std::sync::{Arc, Mutex};

use foundation::cached::Cached;
use foundation::clock::{Clock, Randomness};
use foundation::http_client::HttpClient;
use foundation::jwt::JwtError;
use jsonwebtoken::Header;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use url::Url;

use super::description::Description;
use super::error::{TokenError, UpstreamError};
use super::id_token::{Expected, IdToken, moment};
use super::keys::{Keys, PublishedKeys};
use super::manner::{self, Manner, Speaks, Wish};
use super::person::Person;
use super::redeem::Redeemed;
use super::returned::Returned;
use super::wire::Wire;
use super::{Verified, github, microsoft};
use crate::attempt::Attempt;
use crate::secret;
use crate::settings::{Kind, Provider};

/// As many grants of one provider are refreshed at once: each holds a connection to the database.
const MOST_REFRESHED: usize = 3;

/// One login provider.
#[derive(Debug)]
pub struct Source {
    /// As it is configured.
    pub provider: Provider,
    /// What is peculiar to it.
    pub manner: Box<dyn Manner>,
    /// The way to it.
    pub wire: Wire,
    /// Where it sends people back to.
    pub redirect_uri: String,
    /// Whether its tokens are kept, for clients that may have them.
    pub keeps_tokens: bool,
    /// Places among those whose grants are refreshed.
    pub refreshing: Semaphore,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes names of assertions.
    pub randomness: Arc<dyn Randomness>,
    /// The client secret that the issuer has signed itself, and when it ends.
    pub own_secret: Mutex<Option<(String, OffsetDateTime)>>,
    description: Cached<Description>,
    keys: Cached<Keys>,
}

/// Where a provider does what.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// What it calls itself, if it has a name.
    pub issuer: Option<String>,
    /// Where people sign in.
    pub authorization: Url,
    /// Where codes are redeemed.
    pub token: Url,
    /// Whether it says in its answer who it is.
    pub says_who: bool,
    /// How clients may prove who they are, where it says that.
    pub methods: Vec<String>,
}

impl Source {
    /// A configured provider; nothing is asked yet.
    pub fn new(
        provider: &Provider,
        public_url: &Url,
        keeps_tokens: bool,
        http: HttpClient,
        (clock, randomness): (Arc<dyn Clock>, Arc<dyn Randomness>),
    ) -> Self {
        let manner = manner::of(provider);
        let redirect_uri = manner::below(public_url, &format!("/callback/{}", provider.name)).into();
        Self {
            wire: Wire::new(manner.hosts(), http, Arc::clone(&clock)),
            manner,
            provider: provider.clone(),
            redirect_uri,
            keeps_tokens,
            refreshing: Semaphore::new(MOST_REFRESHED),
            clock,
            randomness,
            own_secret: Mutex::default(),
            description: Cached::default(),
            keys: Cached::default(),
        }
    }

    /// Where the provider does what.
    pub async fn endpoints(&self) -> Result<Endpoints, UpstreamError> {
        match self.manner.speaks() {
            Speaks::OAuth { authorize: authorization, token, .. } => {
                Ok(Endpoints { issuer: None, authorization, token, says_who: false, methods: Vec::new() })
            }
            Speaks::OpenIdConnect { description } => {
                let now = self.clock.now();
                let known =
                    self.description.get(now, async || self.ask_description(&description).await).await?;
                let known = known.ok_or(UpstreamError::Resting)?;
                Ok(Endpoints {
                    issuer: Some(known.issuer.clone()),
                    authorization: known.authorization_endpoint.clone(),
                    token: known.token_endpoint.clone(),
                    says_who: known.authorization_response_iss_parameter_supported,
                    methods: known.token_endpoint_auth_methods_supported.clone(),
                })
            }
        }
    }

    /// Where to send somebody whose attempt this is.
    pub async fn invitation(&self, attempt: &Attempt, wish: &Wish<'_>) -> Result<Url, UpstreamError> {
        let mut url = self.endpoints().await?.authorization;
        let speaks_oidc = matches!(self.manner.speaks(), Speaks::OpenIdConnect { .. });
        let challenge = secret::hash_text(&attempt.verifier);
        let wish = Wish { keeps_tokens: self.keeps_tokens, ..*wish };
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.provider.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &self.provider.scopes.join(" "))
            .append_pair("state", &attempt.state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if speaks_oidc {
            query.append_pair("nonce", &attempt.nonce);
        }
        for (name, value) in self.manner.adds(&wish) {
            query.append_pair(name, &value);
        }
        drop(query);
        Ok(url)
    }

    /// Who has come back, as the provider says.
    pub async fn identify(&self, attempt: &Attempt, returned: &Returned) -> Result<Verified, UpstreamError> {
        if attempt.provider.as_deref() != Some(self.provider.name.as_str()) {
            return Err(UpstreamError::OtherProvider);
        }
        let endpoints = self.endpoints().await?;
        let is_answerer = match &returned.iss {
            Some(said) => self.manner.is_answerer(said, endpoints.issuer.as_deref()),
            None => !endpoints.says_who,
        };
        if !is_answerer {
            return Err(UpstreamError::Answerer);
        }
        if let Some(error) = &returned.error {
            let description = returned.error_description.as_deref().unwrap_or_default();
            return Err(self.manner.refusal(error, description));
        }
        let code = returned.code.as_deref().filter(|code| !code.is_empty()).ok_or(UpstreamError::Empty)?;
        let redeemed = self.redeem(&endpoints, code, &attempt.verifier).await?;
        let (person, authenticated_at) = match (self.manner.speaks(), endpoints.issuer.as_deref()) {
            (Speaks::OAuth { api, .. }, _) => {
                (github::person(&self.wire, &api, &redeemed.access_token).await?, None)
            }
            (Speaks::OpenIdConnect { .. }, named) => {
                let max_age = Wish::of(&attempt.purpose).max_age.filter(|_| self.manner.tells_age());
                let asked = (attempt.nonce.as_str(), max_age);
                let token = self.believe(&redeemed, named.unwrap_or_default(), asked).await?;
                let signed_in = max_age.and(token.auth_time).and_then(moment);
                (self.manner.person(&token, returned.user.as_deref())?, signed_in)
            }
        };
        let Person { subject, email, given_name, family_name, picture } = person;
        Ok(Verified {
            provider: self.provider.name.clone(),
            subject,
            email,
            given_name,
            family_name,
            picture,
            authenticated_at,
            tokens: self.keeps_tokens.then(|| redeemed.tokens(&self.provider.scopes, self.clock.now())),
        })
    }

    /// What the ID token says, if it is the provider's answer to what was asked.
    async fn believe(
        &self,
        redeemed: &Redeemed,
        named: &str,
        (nonce, max_age): (&str, Option<u64>),
    ) -> Result<IdToken, UpstreamError> {
        let token = redeemed.id_token.as_deref().ok_or(TokenError::Missing)?;
        let (header, token, signs_for) = self.verify::<IdToken>(token).await?;
        if !self.manner.is_issuer(&token, named) {
            return Err(TokenError::Issuer.into());
        }
        if signs_for.is_some_and(|issuer| microsoft::filled(&issuer, &token) != token.iss) {
            return Err(TokenError::KeyIssuer.into());
        }
        let client_id = &self.provider.client_id;
        let access = redeemed.access_token.as_str();
        token.check(&header, &Expected { client_id, nonce, access, max_age, now: self.clock.now() })?;
        Ok(token)
    }

    /// What a token says that the provider has signed, and whose tokens alone its key signs. Where no known key has signed it,
    /// the provider may have new ones.
    pub async fn verify<T: DeserializeOwned>(
        &self,
        token: &str,
    ) -> Result<(Header, T, Option<String>), UpstreamError> {
        let owned = |(header, claims, issuer): (Header, T, Option<&str>)| {
            (header, claims, issuer.map(ToOwned::to_owned))
        };
        let now = self.clock.now();
        let known = self.keys.get(now, async || self.ask_keys().await).await?;
        let known = known.ok_or(UpstreamError::Resting)?;
        match known.verify(token) {
            Err(JwtError::NotSigned) => {}
            verified => return Ok(owned(verified.map_err(TokenError::from)?)),
        }
        match self.keys.get_newer(&known, now, async || self.ask_keys().await).await? {
            Some(newer) => Ok(owned(newer.verify(token).map_err(TokenError::from)?)),
            None => Err(TokenError::from(JwtError::NotSigned).into()),
        }
    }

    /// Asks whether it answers, whatever is kept.
    pub async fn probe(&self) -> Result<(), UpstreamError> {
        match self.manner.speaks() {
            Speaks::OpenIdConnect { description } => self.ask_description(&description).await.map(drop),
            Speaks::OAuth { api, .. } => {
                let url = manner::below(&api, "/rate_limit");
                self.wire.get::<serde_json::Value>("a sign of life", &url, None).await.map(drop)
            }
        }
    }

    /// Makes ready what the first person would wait for.
    pub async fn prepare(&self) -> Result<(), UpstreamError> {
        self.endpoints().await?;
        if matches!(self.manner.speaks(), Speaks::OpenIdConnect { .. }) {
            self.keys.get(self.clock.now(), async || self.ask_keys().await).await?;
        }
        Ok(())
    }

    /// Whether people of Apple are told of by notifications.
    pub fn notifies(&self) -> bool {
        self.provider.kind == Kind::Apple
    }

    /// Asks anew where things are, when they are needed next.
    pub async fn forget_description(&self) {
        self.description.forget().await;
    }

    async fn ask_description(&self, url: &Url) -> Result<Description, UpstreamError> {
        let description: Description = self.wire.get("its description", url, None).await?;
        description.check(url, &self.wire.hosts, |issuer| self.manner.is_name(issuer))
    }

    async fn ask_keys(&self) -> Result<Keys, UpstreamError> {
        let Speaks::OpenIdConnect { description } = self.manner.speaks() else {
            return Err(TokenError::Missing.into());
        };
        let now = self.clock.now();
        let known = self.description.get(now, async || self.ask_description(&description).await).await?;
        let url = known.ok_or(UpstreamError::Resting)?.jwks_uri.clone();
        match self.wire.get::<PublishedKeys>("its keys", &url, None).await {
            Ok(published) => {
                let keys = Keys::of(published);
                tracing::info!(
                    provider = self.provider.name,
                    keys = keys.len(),
                    "a login provider's keys were read"
                );
                Ok(keys)
            }
            Err(error) => {
                // Perhaps they are elsewhere now.
                self.forget_description().await;
                Err(error)
            }
        }
    }
}
