//! Google: OpenID Connect, at several hosts. It vouches for addresses of its own and of its Workspace domains; any other it
//! has verified once, and its owner may be another by now.

use url::Url;

use super::error::UpstreamError;
use super::id_token::{IdToken, says_yes};
use super::manner::{Manner, Speaks, Wish, below, hints, name, selects, site};
use super::person::{Person, address, line, picture, subject};
use super::wire::Hosts;

const SITE: &str = "https://accounts.google.com";
const HOSTS: &[&str] = &["oauth2.googleapis.com", "www.googleapis.com", "openidconnect.googleapis.com"];

/// Google.
#[derive(Debug)]
pub struct Google {
    hosts: Hosts,
    hosted_domain: Option<String>,
}

impl Google {
    /// Where everybody's is, or `at` another site; for the people of a Workspace domain alone, where one is named.
    pub fn new(at: Option<Url>, hosted_domain: Option<String>) -> Self {
        let others = if at.is_some() { &[] } else { HOSTS };
        Self { hosts: Hosts::new(site(at, SITE), others), hosted_domain }
    }
}

impl Manner for Google {
    fn hosts(&self) -> Hosts {
        self.hosts.clone()
    }

    fn speaks(&self) -> Speaks {
        Speaks::OpenIdConnect { description: below(&self.hosts.site, "/.well-known/openid-configuration") }
    }

    fn is_name(&self, issuer: &str) -> bool {
        issuer == name(&self.hosts.site)
    }

    fn is_issuer(&self, token: &IdToken, named: &str) -> bool {
        // Its older tokens leave the scheme out.
        token.iss == named || Some(token.iss.as_str()) == named.strip_prefix("https://")
    }

    fn adds(&self, wish: &Wish<'_>) -> Vec<(&'static str, String)> {
        // A refresh token comes with the consent alone: who has lost it, or never had one, asks for consent again.
        let consent = (wish.consents && wish.keeps_tokens).then_some("consent");
        let words: Vec<&str> = selects(wish).then_some("select_account").into_iter().chain(consent).collect();
        let prompt = (!words.is_empty()).then(|| ("prompt", words.join(" ")));
        let domain = self.hosted_domain.clone().map(|domain| ("hd", domain));
        let offline = wish.keeps_tokens.then(|| ("access_type", "offline".to_owned()));
        [prompt, hints(wish), domain, offline].into_iter().flatten().collect()
    }

    fn person(&self, token: &IdToken, _: Option<&str>) -> Result<Person, UpstreamError> {
        // What was asked for is only a wish: anybody can take it out of the question.
        if self.hosted_domain.is_some() && token.hd != self.hosted_domain {
            return Err(UpstreamError::OtherOrganization);
        }
        let email = token.email.as_deref();
        let is_own = email.is_some_and(|email| email.to_ascii_lowercase().ends_with("@gmail.com"));
        let is_authoritative = is_own || token.hd.as_deref().is_some_and(|domain| !domain.is_empty());
        let is_vouched = is_authoritative && says_yes(token.email_verified.as_ref());
        Ok(Person {
            subject: subject(&token.sub)?,
            email: address(email, is_vouched, false),
            given_name: line(token.given_name.as_deref()),
            family_name: line(token.family_name.as_deref()),
            picture: picture(token.picture.as_deref()),
        })
    }
}
