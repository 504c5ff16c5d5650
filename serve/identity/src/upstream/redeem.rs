//! What a login provider's token endpoint gives for a code or a refresh token.

use std::sync::PoisonError;
use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foundation::http_client::Answer;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use url::form_urlencoded;

use super::assertion::{self, SECRET_RENEWED};
use super::error::UpstreamError;
use super::source::{Endpoints, Source};
use super::{UpstreamTokens, manner};
use crate::secret;
use crate::settings::{Credential, Kind};

/// What was given.
#[derive(Deserialize)]
pub struct Redeemed {
    /// With which the provider's API is used.
    pub access_token: String,
    /// Says who somebody is.
    pub id_token: Option<String>,
    refresh_token: Option<String>,
    scope: Option<String>,
    /// Some write it as a text.
    expires_in: Option<Value>,
}

/// Fields of a form.
type Fields = Vec<(&'static str, String)>;

/// What was said instead (RFC 6749, section 5.2).
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: String,
}

impl Redeemed {
    /// The tokens as they are kept; `asked` is what they are for where the provider does not say.
    pub fn tokens(&self, asked: &[String], now: OffsetDateTime) -> UpstreamTokens {
        let seconds = match &self.expires_in {
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        UpstreamTokens {
            access: self.access_token.clone(),
            refresh: self.refresh_token.clone().filter(|token| !token.is_empty()),
            // GitHub separates them by commas.
            scope: self.scope.as_ref().map_or_else(|| asked.join(" "), |scope| scope.replace(',', " ")),
            expires_at: seconds
                .and_then(|seconds| now.checked_add(Duration::from_secs(seconds).try_into().ok()?)),
        }
    }
}

impl Source {
    /// What a code gives.
    pub async fn redeem(
        &self,
        endpoints: &Endpoints,
        code: &str,
        verifier: &str,
    ) -> Result<Redeemed, UpstreamError> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", verifier),
        ];
        self.exchange(endpoints, &fields).await
    }

    /// What a refresh token gives. One that is not accepted any more is [`UpstreamError::Code`].
    pub async fn refresh(&self, token: &str) -> Result<Redeemed, UpstreamError> {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.exchange(&self.endpoints().await?, &fields).await
    }

    async fn exchange(
        &self,
        endpoints: &Endpoints,
        fields: &[(&str, &str)],
    ) -> Result<Redeemed, UpstreamError> {
        let (headers, proof) = self.proof(endpoints)?;
        let mut all = fields.to_vec();
        all.extend(proof.iter().map(|(name, value)| (*name, value.as_str())));
        let (what, url) = ("tokens", &endpoints.token);
        let answer = match self.wire.post(what, url, headers, &all).await {
            Ok(answer) => answer,
            Err(error) => {
                // Perhaps it is elsewhere now.
                self.forget_description().await;
                return Err(error);
            }
        };
        match answer.status {
            // GitHub says no with this status, too.
            StatusCode::OK => match answer.json::<Redeemed>() {
                Ok(redeemed) if !redeemed.access_token.is_empty() => Ok(redeemed),
                Ok(_) => Err(UpstreamError::Code),
                Err(source) => Err(refusal(&answer).unwrap_or_else(|| UpstreamError::Http {
                    what,
                    url: Box::new(url.clone()),
                    source,
                })),
            },
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => {
                Err(refusal(&answer).unwrap_or(UpstreamError::Status {
                    what,
                    url: Box::new(url.clone()),
                    status: answer.status,
                }))
            }
            status => Err(UpstreamError::Status { what, url: Box::new(url.clone()), status }),
        }
    }

    /// What proves to the token endpoint who the issuer is: headers, and fields of the form.
    fn proof(&self, endpoints: &Endpoints) -> Result<(HeaderMap, Fields), UpstreamError> {
        let client_id = &self.provider.client_id;
        let mut fields = vec![("client_id", client_id.clone())];
        let now = self.clock.now();
        match &self.provider.credential {
            Credential::Secret(known) => {
                let by_post = endpoints.methods.iter().any(|method| method == "client_secret_post");
                let by_header = endpoints.methods.iter().any(|method| method == "client_secret_basic");
                let is_standard = matches!(self.provider.kind, Kind::OpenIdConnect { .. });
                // The standard's default is the header.
                if is_standard && (by_header || !by_post) {
                    let headers = HeaderMap::from_iter([(AUTHORIZATION, basic(client_id, known.expose()))]);
                    return Ok((headers, Vec::new()));
                }
                fields.push(("client_secret", known.expose().to_owned()));
            }
            Credential::Certificate(certified) => {
                let id = secret::new(&*self.randomness);
                let named = (now, id.as_str());
                let signed = assertion::for_microsoft(certified, client_id, endpoints.token.as_str(), named)?;
                fields.push(("client_assertion_type", assertion::KIND.to_owned()));
                fields.push(("client_assertion", signed));
            }
            Credential::SigningKey(_) => fields.push(("client_secret", self.own_secret(now)?.0)),
        }
        Ok((HeaderMap::new(), fields))
    }

    /// The client secret that the issuer signs itself, made anew long before it ends.
    pub fn own_secret(&self, now: OffsetDateTime) -> Result<(String, OffsetDateTime), UpstreamError> {
        let Credential::SigningKey(signing) = &self.provider.credential else {
            return Err(UpstreamError::Signature);
        };
        let mut kept = self.own_secret.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((secret, ends)) = kept.as_ref().filter(|(_, ends)| *ends - now > SECRET_RENEWED) {
            return Ok((secret.clone(), *ends));
        }
        let issuer = manner::name(&self.wire.hosts.site);
        let made = assertion::for_apple(signing, &self.provider.client_id, issuer, now)?;
        *kept = Some(made.clone());
        Ok(made)
    }
}

/// `client_secret_basic` (RFC 6749, section 2.3.1): both parts are encoded as in forms before they are joined.
fn basic(client_id: &str, secret: &str) -> HeaderValue {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(secret)));
    let mut value = HeaderValue::try_from(format!("Basic {pair}")).expect("base 64 is allowed in a header");
    value.set_sensitive(true);
    value
}

/// The provider's own word for why it refuses, where it is a word.
fn refusal(answer: &Answer) -> Option<UpstreamError> {
    let Refusal { error } = answer.json().unwrap_or_default();
    match error.as_str() {
        "invalid_grant" | "bad_verification_code" | "bad_refresh_token" => return Some(UpstreamError::Code),
        "temporarily_unavailable" | "server_error" => return Some(UpstreamError::Unable),
        _ => {}
    }
    let is_word = (1..=40).contains(&error.len())
        && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    is_word.then_some(UpstreamError::Issuer(error))
}
