//! Microsoft Entra ID: an issuer for each tenant, people who are known by tenant and object, and addresses that nobody has
//! verified unless the token says so.

use url::Url;
use uuid::Uuid;

use super::error::UpstreamError;
use super::id_token::{IdToken, says_yes};
use super::manner::{Manner, Speaks, Wish, below, hints, name, refusal, site};
use super::person::{Person, address, line, names, subject};
use super::wire::Hosts;
use crate::request::Prompt;

const SITE: &str = "https://login.microsoftonline.com";
/// What stands for the tenant in the issuer of those who serve several.
const TENANT: &str = "{tenantid}";
/// To which private people belong.
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
/// What it says where an administrator has to consent: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
const CONSENT: [&str; 4] = ["AADSTS65001", "AADSTS90093", "AADSTS90094", "AADSTS90095"];
/// What it says of people of other tenants, or whom the tenant has not assigned.
const OTHERS: [&str; 4] = ["AADSTS50020", "AADSTS50105", "AADSTS500212", "AADSTS500213"];

/// Microsoft Entra ID.
#[derive(Debug)]
pub struct Microsoft {
    site: Url,
    tenant: String,
}

impl Microsoft {
    /// Where everybody's is, or `at` another site; for `common`, `organizations`, `consumers`, or the people of one tenant.
    pub fn new(at: Option<Url>, tenant: &str) -> Self {
        Self { site: site(at, SITE), tenant: tenant.to_owned() }
    }

    fn issuer(&self, tenant: &str) -> String {
        format!("{}/{tenant}/v2.0", name(&self.site))
    }

    /// Whether people of this tenant may sign in here.
    fn serves(&self, tenant: &str) -> bool {
        match self.tenant.as_str() {
            "common" => true,
            "organizations" => tenant != CONSUMERS,
            "consumers" => tenant == CONSUMERS,
            // A tenant may be called by a name of its own, too; whose issuer it is, the description says.
            own => own == tenant || Uuid::parse_str(own).is_err(),
        }
    }
}

/// A tenant's id in the form in which issuers have it.
fn is_tenant(text: &str) -> bool {
    Uuid::parse_str(text).is_ok_and(|id| id.to_string() == text)
}

/// An issuer of which only the tenant is to be said.
pub fn filled(issuer: &str, token: &IdToken) -> String {
    issuer.replace(TENANT, token.tid.as_deref().unwrap_or_default())
}

impl Manner for Microsoft {
    fn hosts(&self) -> Hosts {
        Hosts::new(self.site.clone(), &[])
    }

    fn speaks(&self) -> Speaks {
        let path = format!("/{}/v2.0/.well-known/openid-configuration", self.tenant);
        Speaks::OpenIdConnect { description: below(&self.site, &path) }
    }

    fn is_name(&self, issuer: &str) -> bool {
        let prefix = format!("{}/", name(&self.site));
        let tenant = issuer.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix("/v2.0"));
        let serves_several = matches!(self.tenant.as_str(), "common" | "organizations");
        match tenant {
            Some(TENANT) => serves_several,
            Some(tenant) => !serves_several && is_tenant(tenant) && self.serves(tenant),
            None => false,
        }
    }

    /// The tenant that the token names, put into the template: a token that names one and is another's is nobody's.
    fn is_issuer(&self, token: &IdToken, named: &str) -> bool {
        let Some(tenant) = token.tid.as_deref().filter(|tenant| is_tenant(tenant)) else { return false };
        token.iss == filled(named, token) && token.iss == self.issuer(tenant) && self.serves(tenant)
    }

    /// It says nothing so far. If it did, it would be with the tenant, which is not known yet.
    fn is_answerer(&self, said: &str, _: Option<&str>) -> bool {
        said.starts_with(&format!("{}/", name(&self.site)))
    }

    fn adds(&self, wish: &Wish<'_>) -> Vec<(&'static str, String)> {
        let prompt = match wish.prompt {
            Prompt::Login => Some(("prompt", "login".to_owned())),
            Prompt::SelectAccount => Some(("prompt", "select_account".to_owned())),
            Prompt::Needed | Prompt::None => None,
        };
        [Some(("response_mode", "query".to_owned())), prompt, hints(wish)].into_iter().flatten().collect()
    }

    fn refusal(&self, error: &str, description: &str) -> UpstreamError {
        let says = |code: &&str| description.split(':').next() == Some(*code);
        if CONSENT.iter().any(&says) {
            return UpstreamError::ConsentNeeded;
        }
        if OTHERS.iter().any(says) {
            return UpstreamError::OtherOrganization;
        }
        refusal(error)
    }

    fn person(&self, token: &IdToken, _: Option<&str>) -> Result<Person, UpstreamError> {
        let (tenant, object) = (token.tid.as_deref(), token.oid.as_deref());
        // The object alone is one of many tenants', and anybody can make a tenant.
        let (Some(tenant), Some(object)) = (tenant, object.filter(|object| !object.is_empty())) else {
            return subject("").map(|subject| Person { subject, ..Person::default() });
        };
        let is_vouched = says_yes(token.xms_edov.as_ref());
        let (given_name, family_name) = names(token.name.as_deref());
        Ok(Person {
            subject: subject(&format!("{tenant}:{object}"))?,
            email: address(token.email.as_deref(), is_vouched, false),
            given_name: line(token.given_name.as_deref()).or(given_name),
            family_name: line(token.family_name.as_deref()).or(family_name),
            picture: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COMPANY: &str = "5f0b1a3e-0c5e-4c6a-9d3e-2d7e7a1b0c01";

    fn token(issuer: &str, tenant: Option<&str>) -> IdToken {
        serde_json::from_value(json!({"iss": issuer, "aud": "us", "tid": tenant, "oid": "o"})).unwrap()
    }

    #[test]
    fn descriptions_are_those_of_the_tenant() {
        let is = |tenant: &str, issuer: &str| {
            Microsoft::new(None, tenant).is_name(&format!("https://login.microsoftonline.com/{issuer}/v2.0"))
        };
        assert!(is("common", TENANT) && is("organizations", TENANT));
        assert!(is("consumers", CONSUMERS) && is(COMPANY, COMPANY) && is("example.com", COMPANY));
        assert!(!is("common", COMPANY) && !is("consumers", COMPANY) && !is(COMPANY, CONSUMERS));
        assert!(!is(COMPANY, TENANT) && !is("example.com", TENANT) && !is("common", "x/y"));
        assert!(!Microsoft::new(None, "common").is_name("https://login.example/{tenantid}/v2.0"));
    }

    #[test]
    fn the_tenant_of_a_token_is_that_of_its_issuer() {
        let common = Microsoft::new(None, "common");
        let template = common.issuer(TENANT);
        let is = |issuer: &str, tenant| common.is_issuer(&token(issuer, tenant), &template);
        assert!(is(&common.issuer(COMPANY), Some(COMPANY)));
        assert!(!is(&common.issuer(COMPANY), Some(CONSUMERS)));
        assert!(!is(&common.issuer(COMPANY), None));
        assert!(!is(&common.issuer(""), Some("")) && !is(&template, Some(TENANT)));
        let evil = "https://login.microsoftonline.com/evil/v2.0";
        assert!(!is(evil, Some("evil")));
        assert!(!is(&format!("https://login.example/{COMPANY}/v2.0"), Some(COMPANY)));
        let organizations = Microsoft::new(None, "organizations");
        let consumers = token(&common.issuer(CONSUMERS), Some(CONSUMERS));
        assert!(common.is_issuer(&consumers, &template) && !organizations.is_issuer(&consumers, &template));
    }

    #[test]
    fn people_are_known_by_tenant_and_object_and_addresses_are_not_vouched_for() {
        let of = |changes: serde_json::Value| {
            let mut claims = json!({
                "iss": "i", "aud": "us", "tid": COMPANY, "oid": "o", "sub": "s", "email": "ceo@victim.example",
                "email_verified": true, "name": "Ada Lovelace"
            });
            claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            Microsoft::new(None, "common").person(&serde_json::from_value(claims).unwrap(), None)
        };
        let person = of(json!({})).unwrap();
        assert_eq!(person.subject, format!("{COMPANY}:o"));
        assert_eq!(
            (person.given_name.as_deref(), person.family_name.as_deref()),
            (Some("Ada"), Some("Lovelace"))
        );
        assert!(!person.email.unwrap().is_vouched);
        assert!(of(json!({"xms_edov": true})).unwrap().email.unwrap().is_vouched);
        assert!(!of(json!({"xms_edov": false})).unwrap().email.unwrap().is_vouched);
        assert!(of(json!({"oid": null})).is_err() && of(json!({"tid": null})).is_err());
        assert!(of(json!({"oid": ""})).is_err());
    }

    #[test]
    fn consent_of_an_administrator_is_told_from_a_refusal() {
        let said =
            |code: &str| Microsoft::new(None, "common").refusal("access_denied", &format!("{code}: …"));
        assert!(matches!(said("AADSTS90094"), UpstreamError::ConsentNeeded));
        assert!(matches!(said("AADSTS65001"), UpstreamError::ConsentNeeded));
        assert!(matches!(said("AADSTS65004"), UpstreamError::Refused));
        assert!(matches!(said("AADSTS50020"), UpstreamError::OtherOrganization));
    }
}
