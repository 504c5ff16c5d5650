//! A client's request for a sign-in, and what may be wrong with it (OpenID Connect Core 1.0, section 3.1.2; RFC 7636; RFC 9700).
//! Only to where the client has said before is anybody sent back, also with an error.

use foundation::problem::Problem;

use super::claims::{self, ClaimsError, has_scope};
use super::codes;
use super::parameters::Parameters;
use crate::request::{AuthorizationRequest, Prompt};
use crate::settings::{Client, Settings};

/// Characters of each parameter that goes back, or is kept for the way through the login provider.
const LONGEST: [(&str, usize); 4] =
    [("state", 1_024), ("nonce", 512), ("login_hint", 254), ("id_token_hint", 8_192)];
/// Characters of a code challenge.
const CHALLENGE: usize = 43;

/// A request that is in order, as far as it can be told without the database.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// The request.
    pub request: AuthorizationRequest,
    /// An ID token that says who is expected.
    pub hint: Option<String>,
}

/// Why nobody signs in.
#[derive(Debug)]
pub enum Refused {
    /// Nobody is sent anywhere.
    Here(Problem),
    /// The client is told.
    Back {
        /// What there was of the request: where the answer goes.
        request: Box<AuthorizationRequest>,
        /// The error's name.
        error: &'static str,
        /// What it is about.
        description: String,
    },
}

/// Reads a request.
///
/// # Errors
/// [`Refused`].
pub fn read(settings: &Settings, parameters: &Parameters) -> Result<Asked, Refused> {
    let here = |detail: &str| Refused::Here(Problem::new(&codes::AUTHORIZATION_REFUSED).detail(detail));
    let once = |name| parameters.get(name).filter(|_| !parameters.is_repeated(name));
    let client = once("client_id").and_then(|id| settings.client(id));
    let client = client.ok_or_else(|| here("The application is unknown."))?;
    let redirect_uri =
        once("redirect_uri").filter(|uri| client.redirect_uris.iter().any(|known| known == uri));
    let redirect_uri = redirect_uri.ok_or_else(|| {
        here("Where the answer should go is missing, or is not registered for the application.")
    })?;
    let mut asked = Asked {
        request: AuthorizationRequest {
            state: once("state").filter(|state| state.len() <= LONGEST[0].1).map(str::to_owned),
            ..AuthorizationRequest::new(&client.id, redirect_uri)
        },
        hint: parameters.get("id_token_hint").map(str::to_owned),
    };
    match fill(client, parameters, &mut asked.request) {
        Ok(()) => Ok(asked),
        Err((error, description)) => {
            Err(Refused::Back { request: Box::new(asked.request), error, description })
        }
    }
}

type Wrong = (&'static str, String);

fn wrong<T>(error: &'static str, description: &str) -> Result<T, Wrong> {
    Err((error, description.to_owned()))
}

fn fill(client: &Client, parameters: &Parameters, request: &mut AuthorizationRequest) -> Result<(), Wrong> {
    if let Some(name) = parameters.repeated() {
        let name = name.get(..64).unwrap_or("with a long name");
        return Err(("invalid_request", format!("The parameter {name} is there more than once.")));
    }
    for (name, most) in LONGEST {
        if parameters.get(name).is_some_and(|value| value.len() > most) {
            return Err(("invalid_request", format!("The parameter {name} is longer than {most} bytes.")));
        }
    }
    for (name, error) in [
        ("request", "request_not_supported"),
        ("request_uri", "request_uri_not_supported"),
        ("registration", "registration_not_supported"),
    ] {
        if parameters.get(name).is_some() {
            return Err((error, format!("The parameter {name} is not supported.")));
        }
    }
    match parameters.get("response_type") {
        Some("code") => {}
        None => return wrong("invalid_request", "The parameter response_type is missing."),
        Some(_) => return wrong("unsupported_response_type", "The only response_type is code."),
    }
    if parameters.get("response_mode").is_some_and(|mode| mode != "query") {
        return wrong("invalid_request", "The only response_mode is query.");
    }
    let scope = parameters.get("scope").unwrap_or_default();
    if !has_scope(scope, "openid") {
        return wrong("invalid_scope", "The scope has to name openid.");
    }
    // What there is not, or is not for this client, is left out, and the answer says so.
    let granted = client.scopes.iter().filter(|known| has_scope(scope, known));
    request.scope = granted.cloned().collect();
    if !request.scope.iter().any(|scope| scope == "openid") {
        return wrong("invalid_scope", "This application may not let people sign in.");
    }
    request.challenge = challenge(client, parameters)?;
    (request.prompt, request.consents) = prompt(parameters.get("prompt"))?;
    request.max_age = match parameters.get("max_age").map(str::parse) {
        None => None,
        Some(Ok(seconds)) => Some(seconds),
        Some(Err(_)) => return wrong("invalid_request", "The parameter max_age is not a number of seconds."),
    };
    if let Some(text) = parameters.get("claims") {
        let asked = claims::read(text).map_err(|error| {
            let name = match error {
                ClaimsError::Malformed => "invalid_request",
                ClaimsError::Subject => "login_required",
                ClaimsError::Unmet => "unmet_authentication_requirements",
            };
            (name, error.to_string())
        })?;
        request.subject = asked.subject;
        let is_empty = asked.named.userinfo.is_empty() && asked.named.id_token.is_empty();
        request.claims = (!is_empty).then_some(asked.named);
    }
    request.nonce = parameters.get("nonce").map(str::to_owned);
    request.login_hint = parameters.get("login_hint").map(str::to_owned);
    Ok(())
}

/// The code challenge: by SHA-256, since a plain one is the verifier itself (RFC 9700, section 2.1.1).
fn challenge(client: &Client, parameters: &Parameters) -> Result<Option<String>, Wrong> {
    match (parameters.get("code_challenge"), parameters.get("code_challenge_method")) {
        (None, None) if client.requires_pkce => {
            wrong("invalid_request", "The parameter code_challenge is missing.")
        }
        (None, None) => Ok(None),
        (Some(challenge), Some("S256")) => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if challenge.len() == CHALLENGE && challenge.bytes().all(plain) {
                Ok(Some(challenge.to_owned()))
            } else {
                wrong("invalid_request", "The parameter code_challenge is not a SHA-256 in base 64.")
            }
        }
        (Some(_), _) => wrong("invalid_request", "The only code_challenge_method is S256."),
        (None, Some(_)) => {
            wrong("invalid_request", "There is a code_challenge_method and no code_challenge.")
        }
    }
}

/// How the person is to be asked, and whether to consent anew. There is no page that asks for consent alone: whoever signs
/// in, on a page that says for which application, consents by it, and does so at a login provider that knows consent too.
fn prompt(text: Option<&str>) -> Result<(Prompt, bool), Wrong> {
    let mut found = Prompt::Needed;
    let mut is_none = false;
    let text = text.unwrap_or_default();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        found = match (word, found) {
            ("none", _) => {
                is_none = true;
                Prompt::None
            }
            ("select_account", _) => Prompt::SelectAccount,
            ("login" | "consent", Prompt::SelectAccount) => Prompt::SelectAccount,
            ("login" | "consent", _) => Prompt::Login,
            _ => return wrong("invalid_request", "The parameter prompt has a word that is not known."),
        };
    }
    if is_none && text.trim() != "none" {
        return wrong("invalid_request", "The word none of the parameter prompt stands alone.");
    }
    Ok((found, has_scope(text, "consent")))
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
