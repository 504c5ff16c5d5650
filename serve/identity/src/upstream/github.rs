//! GitHub: OAuth 2.0 without ID tokens. Its API says who somebody is, and which address is primary and verified; the address
//! of the profile proves nothing.

use serde::Deserialize;
use url::Url;

use super::error::UpstreamError;
use super::manner::{Manner, Speaks, Wish, below, selects, site};
use super::person::{Person, address, names, picture, subject};
use super::wire::{Hosts, Wire};

const SITE: &str = "https://github.com";
const API: &str = "https://api.github.com";
const HOSTS: &[&str] = &["api.github.com"];
/// The domain of addresses that pass nothing on.
const NOBODY: &str = "@users.noreply.github.com";

/// GitHub.
#[derive(Debug)]
pub struct Github {
    hosts: Hosts,
    api: Url,
}

impl Github {
    /// Where everybody's is, or a company's own server `at` a site.
    pub fn new(at: Option<Url>) -> Self {
        let others = if at.is_some() { &[] } else { HOSTS };
        let api = at.as_ref().map_or_else(|| site(None, API), |at| below(at, "/api/v3"));
        Self { hosts: Hosts::new(site(at, SITE), others), api }
    }
}

impl Manner for Github {
    fn hosts(&self) -> Hosts {
        self.hosts.clone()
    }

    fn speaks(&self) -> Speaks {
        Speaks::OAuth {
            authorize: below(&self.hosts.site, "/login/oauth/authorize"),
            token: below(&self.hosts.site, "/login/oauth/access_token"),
            api: self.api.clone(),
        }
    }

    fn is_name(&self, _: &str) -> bool {
        false
    }

    /// Where it says who it is, it is a place of its site.
    fn is_answerer(&self, said: &str, _: Option<&str>) -> bool {
        Url::parse(said).is_ok_and(|said| said.origin() == self.hosts.site.origin())
    }

    fn adds(&self, wish: &Wish<'_>) -> Vec<(&'static str, String)> {
        let prompt = selects(wish).then(|| ("prompt", "select_account".to_owned()));
        // It knows people by names, and an address is none.
        let hint = wish.hint.filter(|hint| !hint.contains('@')).map(|hint| ("login", hint.to_owned()));
        [prompt, hint].into_iter().flatten().collect()
    }
}

#[derive(Deserialize)]
struct User {
    id: u64,
    name: Option<String>,
    avatar_url: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Email {
    email: String,
    #[serde(default)]
    primary: bool,
    #[serde(default)]
    verified: bool,
}

/// Who somebody is, by what the API tells whoever has the access token.
pub async fn person(wire: &Wire, api: &Url, access: &str) -> Result<Person, UpstreamError> {
    let user: User = wire.get("the person", &below(api, "/user"), Some(access)).await?;
    let mut addresses = below(api, "/user/emails");
    // Somebody may have more than a usual page of them.
    addresses.set_query(Some("per_page=100"));
    let emails: Result<Vec<Email>, _> = wire.get("the person's addresses", &addresses, Some(access)).await;
    let emails = match emails {
        Ok(emails) => emails,
        // The scope was taken out of the question, or is not configured.
        Err(UpstreamError::Status { status, .. }) if status.is_client_error() => Vec::new(),
        Err(error) => return Err(error),
    };
    let (given_name, family_name) = names(user.name.as_deref());
    let primary = primary(&emails);
    Ok(Person {
        subject: subject(&user.id.to_string())?,
        email: primary.and_then(|email| address(Some(&email.email), email.verified, is_relay(&email.email))),
        given_name,
        family_name,
        picture: picture(user.avatar_url.as_deref()),
    })
}

fn primary(emails: &[Email]) -> Option<&Email> {
    emails.iter().find(|email| email.primary)
}

fn is_relay(email: &str) -> bool {
    email.to_ascii_lowercase().ends_with(NOBODY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_primary_address_counts() {
        let email = |email: &str, primary, verified| Email { email: email.to_owned(), primary, verified };
        let all = [email("a@b", false, true), email("c@d", true, false)];
        assert_eq!(primary(&all).map(|email| (email.email.as_str(), email.verified)), Some(("c@d", false)));
        assert!(primary(&all[..1]).is_none());
        assert!(is_relay("1+ada@users.noreply.github.com") && !is_relay("ada@github.com"));
    }

    #[test]
    fn a_companys_own_server_has_its_api_below_it() {
        let Speaks::OAuth { authorize, api, .. } =
            Github::new(Url::parse("https://git.example.test").ok()).speaks()
        else {
            panic!("GitHub speaks OAuth");
        };
        assert_eq!(authorize.as_str(), "https://git.example.test/login/oauth/authorize");
        assert_eq!(below(&api, "/user").as_str(), "https://git.example.test/api/v3/user");
        let Speaks::OAuth { api, .. } = Github::new(None).speaks() else { panic!("GitHub speaks OAuth") };
        assert_eq!(below(&api, "/user").as_str(), "https://api.github.com/user");
    }
}
