//! What is peculiar to a kind of login provider.

use std::fmt::Debug;

use url::Url;

use super::error::{TokenError, UpstreamError};
use super::id_token::IdToken;
use super::person::Person;
use super::wire::Hosts;
use super::{apple, github, google, microsoft, openid_connect};
use crate::accounts::RECENT;
use crate::attempt::Purpose;
use crate::request::Prompt;
use crate::session;
use crate::settings::{Kind, Provider};

/// How somebody is to be asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// Who is expected.
    pub hint: Option<&'a str>,
    /// Whether to ask in any case.
    pub prompt: Prompt,
    /// Whether the person is to consent anew.
    pub consents: bool,
    /// For how many seconds a sign-in is recent enough.
    pub max_age: Option<u64>,
    /// Whether the provider's tokens are to last while the person is away.
    pub keeps_tokens: bool,
}

impl<'a> Wish<'a> {
    /// By what the sign-in is for.
    pub fn of(purpose: &'a Purpose) -> Self {
        match purpose {
            Purpose::Authorize(request) => Self {
                hint: request.login_hint.as_deref(),
                prompt: match (request.prompt, request.max_age) {
                    // Whoever is signed in there since yesterday would come back at once, and pass for somebody who is
                    // there now.
                    (Prompt::Needed, Some(_)) => Prompt::Login,
                    (prompt, _) => prompt,
                },
                consents: request.consents,
                // The session that follows lasts no longer.
                max_age: request.max_age.map(|seconds| seconds.min(session::ABSOLUTE.as_secs())),
                keeps_tokens: false,
            },
            Purpose::Account => Self::default(),
            Purpose::Again => {
                Self { prompt: Prompt::Login, max_age: Some(RECENT.as_secs()), ..Self::default() }
            }
            // Whoever is signed in there already may not be whom the person means.
            Purpose::Link { .. } => Self { prompt: Prompt::SelectAccount, ..Self::default() },
        }
    }
}

/// What a provider speaks.
#[derive(Debug, Clone)]
pub enum Speaks {
    /// OpenID Connect, as it describes itself there.
    OpenIdConnect {
        /// Where.
        description: Url,
    },
    /// OAuth 2.0, with an API that says who somebody is.
    OAuth {
        /// Where people sign in.
        authorize: Url,
        /// Where codes are redeemed.
        token: Url,
        /// Where the API is.
        api: Url,
    },
}

/// What one kind of login provider does in its own way.
pub trait Manner: Debug + Send + Sync {
    /// Where it may be asked.
    fn hosts(&self) -> Hosts;

    /// What it speaks.
    fn speaks(&self) -> Speaks;

    /// Whether a description of this issuer is its own.
    fn is_name(&self, issuer: &str) -> bool;

    /// Whether it has made a token, where it calls itself `named`.
    fn is_issuer(&self, token: &IdToken, named: &str) -> bool {
        token.iss == named
    }

    /// Whether it is who has answered, by what the answer says (RFC 9207).
    fn is_answerer(&self, said: &str, named: Option<&str>) -> bool {
        Some(said) == named
    }

    /// Parameters of the question beside those that every provider gets.
    fn adds(&self, wish: &Wish<'_>) -> Vec<(&'static str, String)>;

    /// Whether it answers by a form that is posted from its own site.
    fn answers_by_form(&self) -> bool {
        false
    }

    /// Whether it is asked how long ago somebody may have signed in there, and says when that was.
    fn tells_age(&self) -> bool {
        false
    }

    /// Why it has sent somebody back without a code.
    fn refusal(&self, error: &str, _description: &str) -> UpstreamError {
        refusal(error)
    }

    /// Who somebody is, by a token that is believed; `user` is what the form said beside it. Where there are no tokens,
    /// nobody is.
    fn person(&self, _token: &IdToken, _user: Option<&str>) -> Result<Person, UpstreamError> {
        Err(TokenError::Missing.into())
    }
}

/// The manner of a configured provider.
pub fn of(provider: &Provider) -> Box<dyn Manner> {
    let at = provider.at.clone();
    match &provider.kind {
        Kind::Google { hosted_domain } => Box::new(google::Google::new(at, hosted_domain.clone())),
        Kind::Github => Box::new(github::Github::new(at)),
        Kind::Microsoft { tenant } => Box::new(microsoft::Microsoft::new(at, tenant)),
        Kind::Apple => Box::new(apple::Apple::new(at)),
        Kind::OpenIdConnect { vouches, hosts } => {
            Box::new(openid_connect::OpenIdConnect::new(at, hosts.clone(), *vouches))
        }
    }
}

/// Why somebody was sent back, in the words of the standards.
pub fn refusal(error: &str) -> UpstreamError {
    match error {
        "access_denied" => UpstreamError::Refused,
        "consent_required" => UpstreamError::ConsentNeeded,
        "temporarily_unavailable" | "server_error" => UpstreamError::Unable,
        "invalid_client"
        | "invalid_request"
        | "invalid_scope"
        | "unauthorized_client"
        | "unsupported_response_type"
        | "redirect_uri_mismatch"
        | "application_suspended" => UpstreamError::Issuer(error.to_owned()),
        _ => UpstreamError::Empty,
    }
}

/// The site of a kind, unless another is configured.
pub fn site(at: Option<Url>, usual: &str) -> Url {
    at.unwrap_or_else(|| Url::parse(usual).expect("a constant that is a URL"))
}

/// A place of a site.
pub fn below(site: &Url, path: &str) -> Url {
    let mut url = site.clone();
    url.set_path(&format!("{}{path}", site.path().trim_end_matches('/')));
    url
}

/// A site as issuers write it: without a slash at its end.
pub fn name(site: &Url) -> &str {
    site.as_str().trim_end_matches('/')
}

/// Whether to ask with which account: for providers that know no other way to ask anew.
pub fn selects(wish: &Wish<'_>) -> bool {
    matches!(wish.prompt, Prompt::Login | Prompt::SelectAccount)
}

/// Who is expected.
pub fn hints(wish: &Wish<'_>) -> Option<(&'static str, String)> {
    wish.hint.map(|hint| ("login_hint", hint.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::AuthorizationRequest;

    fn request(prompt: Prompt, max_age: Option<u64>) -> Purpose {
        Purpose::Authorize(Box::new(AuthorizationRequest {
            prompt,
            max_age,
            ..AuthorizationRequest::new("app", "https://app.example/")
        }))
    }

    #[test]
    fn nobodys_old_session_at_a_provider_passes_for_a_recent_sign_in() {
        let of = |purpose: &Purpose| Wish::of(purpose).prompt;
        assert_eq!(of(&request(Prompt::Needed, Some(60))), Prompt::Login);
        assert_eq!(of(&request(Prompt::SelectAccount, Some(60))), Prompt::SelectAccount);
        assert_eq!(of(&request(Prompt::Needed, None)), Prompt::Needed);
        assert_eq!(of(&Purpose::Again), Prompt::Login);
        assert_eq!(Wish::of(&request(Prompt::Needed, Some(u64::MAX))).max_age, Some(7 * 86_400));
    }
}
