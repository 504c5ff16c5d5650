//! Any other OpenID Connect provider: by the standard, and its word on addresses counts where the configuration says so.

use url::Url;

use super::error::UpstreamError;
use super::id_token::{IdToken, says_yes};
use super::manner::{Manner, Speaks, Wish, below, hints, name, site};
use super::person::{Person, address, line, names, picture, subject};
use super::wire::Hosts;
use crate::request::Prompt;

/// A provider that the configuration names.
#[derive(Debug)]
pub struct OpenIdConnect {
    hosts: Hosts,
    vouches: bool,
}

impl OpenIdConnect {
    /// The issuer `at` a site, which the configuration has asked for, and at these hosts.
    pub fn new(at: Option<Url>, hosts: Vec<String>, vouches: bool) -> Self {
        Self { hosts: Hosts { site: site(at, "https://issuer.invalid"), others: hosts }, vouches }
    }
}

impl Manner for OpenIdConnect {
    fn hosts(&self) -> Hosts {
        self.hosts.clone()
    }

    fn speaks(&self) -> Speaks {
        Speaks::OpenIdConnect { description: below(&self.hosts.site, "/.well-known/openid-configuration") }
    }

    fn is_name(&self, issuer: &str) -> bool {
        // The configuration cannot say whether there is a slash at its end.
        issuer.strip_suffix('/').unwrap_or(issuer) == name(&self.hosts.site)
    }

    fn adds(&self, wish: &Wish<'_>) -> Vec<(&'static str, String)> {
        let prompt = match wish.prompt {
            Prompt::Login => Some(("prompt", "login".to_owned())),
            Prompt::SelectAccount => Some(("prompt", "select_account".to_owned())),
            Prompt::Needed | Prompt::None => None,
        };
        let max_age = wish.max_age.map(|seconds| ("max_age", seconds.to_string()));
        [prompt, max_age, hints(wish)].into_iter().flatten().collect()
    }

    fn tells_age(&self) -> bool {
        true
    }

    fn person(&self, token: &IdToken, _: Option<&str>) -> Result<Person, UpstreamError> {
        let is_vouched = self.vouches && says_yes(token.email_verified.as_ref());
        let (given_name, family_name) = names(token.name.as_deref());
        Ok(Person {
            subject: subject(&token.sub)?,
            email: address(token.email.as_deref(), is_vouched, false),
            given_name: line(token.given_name.as_deref()).or(given_name),
            family_name: line(token.family_name.as_deref()).or(family_name),
            picture: picture(token.picture.as_deref()),
        })
    }
}
