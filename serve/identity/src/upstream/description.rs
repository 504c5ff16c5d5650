//! How a login provider describes itself (OpenID Connect Discovery 1.0).

use serde::Deserialize;
use url::Url;

use super::error::UpstreamError;
use super::wire::Hosts;

/// Where a login provider does what.
#[derive(Debug, Clone, Deserialize)]
pub struct Description {
    /// What it calls itself.
    pub issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: Url,
    /// Where codes are redeemed.
    pub token_endpoint: Url,
    /// Where its keys are.
    pub jwks_uri: Url,
    /// Whether it says in its answer who it is (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    /// How clients may prove to it who they are.
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
}

impl Description {
    /// The description, if it is that of a provider at these hosts whose name `is_name` knows.
    pub fn check(
        self,
        url: &Url,
        hosts: &Hosts,
        is_name: impl FnOnce(&str) -> bool,
    ) -> Result<Self, UpstreamError> {
        let wrong = |problem| Err(UpstreamError::Description { url: Box::new(url.clone()), problem });
        if !is_name(&self.issuer) {
            return wrong("is another issuer's");
        }
        let all = [&self.authorization_endpoint, &self.token_endpoint, &self.jwks_uri];
        if !all.into_iter().all(|endpoint| hosts.have(endpoint)) {
            return wrong("leads to another site");
        }
        Ok(self)
    }
}
