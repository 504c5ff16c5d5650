//! What a client asks the issuer for (OpenID Connect Core 1.0, section 3.1.2.1), once it was found to be in order.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An authorization request of a known client, to one of its redirect URIs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// The client.
    pub client_id: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// What is asked for: those scopes that there are and the client may ask for.
    pub scope: Vec<String>,
    /// Goes back with the answer.
    pub state: Option<String>,
    /// Goes into the ID token.
    pub nonce: Option<String>,
    /// What the code's redemption is compared with (RFC 7636, S256).
    pub challenge: Option<String>,
    /// How the person is to be asked.
    pub prompt: Prompt,
    /// Whether the person is to consent anew.
    #[serde(default)]
    pub consents: bool,
    /// For how many seconds a sign-in is recent enough.
    pub max_age: Option<u64>,
    /// Who is expected to sign in.
    pub login_hint: Option<String>,
    /// Whom alone the answer may be about, where the request named somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Uuid>,
    /// Claims that were named beside the scopes.
    pub claims: Option<NamedClaims>,
}

impl AuthorizationRequest {
    /// One that asks for nothing yet.
    #[must_use]
    pub fn new(client_id: &str, redirect_uri: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            scope: Vec::new(),
            state: None,
            nonce: None,
            challenge: None,
            prompt: Prompt::Needed,
            consents: false,
            max_age: None,
            login_hint: None,
            subject: None,
            claims: None,
        }
    }
}

/// How the person is to be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Where it is needed.
    #[default]
    Needed,
    /// Never: who is not signed in gets an error.
    None,
    /// In any case.
    Login,
    /// In any case, and with which account.
    SelectAccount,
}

/// Claims that a request names (OpenID Connect Core 1.0, section 5.5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedClaims {
    /// For the answer of the UserInfo endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub userinfo: Vec<String>,
    /// For the ID token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub id_token: Vec<String>,
}
