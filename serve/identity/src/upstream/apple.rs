//! Apple: answers by a form, says the name once and beside its token, writes truth as text, and hands out relay addresses.

use serde::Deserialize;
use url::Url;

use super::error::UpstreamError;
use super::id_token::{IdToken, says_yes};
use super::manner::{Manner, Speaks, Wish, below, name, refusal, site};
use super::person::{Person, address, line, subject};
use super::wire::Hosts;

const SITE: &str = "https://appleid.apple.com";

/// Apple.
#[derive(Debug)]
pub struct Apple {
    site: Url,
}

impl Apple {
    /// Where everybody's is, or `at` another site.
    pub fn new(at: Option<Url>) -> Self {
        Self { site: site(at, SITE) }
    }
}

/// What the form says of somebody who signs in for the first time. Its address is not signed, and counts for nothing.
#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    name: Name,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    first_name: Option<String>,
    last_name: Option<String>,
}

impl Manner for Apple {
    fn hosts(&self) -> Hosts {
        Hosts::new(self.site.clone(), &[])
    }

    fn speaks(&self) -> Speaks {
        Speaks::OpenIdConnect { description: below(&self.site, "/.well-known/openid-configuration") }
    }

    fn is_name(&self, issuer: &str) -> bool {
        issuer == name(&self.site)
    }

    fn adds(&self, _: &Wish<'_>) -> Vec<(&'static str, String)> {
        // With a scope, no other mode is allowed.
        vec![("response_mode", "form_post".to_owned())]
    }

    fn answers_by_form(&self) -> bool {
        true
    }

    fn refusal(&self, error: &str, _: &str) -> UpstreamError {
        match error {
            "user_cancelled_authorize" | "user_cancelled_login" => UpstreamError::Refused,
            other => refusal(other),
        }
    }

    fn person(&self, token: &IdToken, user: Option<&str>) -> Result<Person, UpstreamError> {
        let user: User = user.and_then(|user| serde_json::from_str(user).ok()).unwrap_or_default();
        let is_vouched = says_yes(token.email_verified.as_ref());
        let is_relay = says_yes(token.is_private_email.as_ref());
        Ok(Person {
            subject: subject(&token.sub)?,
            email: address(token.email.as_deref(), is_vouched, is_relay),
            given_name: line(user.name.first_name.as_deref()),
            family_name: line(user.name.last_name.as_deref()),
            picture: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_name_is_what_the_form_says_and_the_address_what_the_token_says() {
        let of = |token: serde_json::Value, user: Option<&str>| {
            let mut claims = json!({"iss": "i", "aud": "us", "sub": "s"});
            claims.as_object_mut().unwrap().extend(token.as_object().unwrap().clone());
            Apple::new(None).person(&serde_json::from_value(claims).unwrap(), user).unwrap()
        };
        let user =
            r#"{"name": {"firstName": "Ada", "lastName": "Lovelace"}, "email": "victim@example.test"}"#;
        let person = of(json!({"email": "a@example.test", "email_verified": "true"}), Some(user));
        assert_eq!(
            (person.given_name.as_deref(), person.family_name.as_deref()),
            (Some("Ada"), Some("Lovelace"))
        );
        let email = person.email.unwrap();
        assert!(email.text == "a@example.test" && email.is_vouched && !email.is_relay);
        assert_eq!(of(json!({}), Some(user)).email, None);
        let relay = of(json!({"email": "r@b", "email_verified": false, "is_private_email": true}), None);
        assert!(relay.given_name.is_none());
        assert!(relay.email.is_some_and(|email| !email.is_vouched && email.is_relay));
        for broken in ["", "{", "[]", "{\"name\": 1}", "{\"name\": {\"firstName\": null}}"] {
            assert_eq!(of(json!({}), Some(broken)).given_name, None, "{broken}");
        }
    }
}
