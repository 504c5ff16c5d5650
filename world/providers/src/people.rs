//! The world's people: whoever is named has an account with each provider.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::provider::Provider;

/// The tenant of Microsoft to which private people belong.
pub const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
/// A company's tenant, whose people may use what they want.
pub const COMPANY: &str = "5f0b1a3e-0c5e-4c6a-9d3e-2d7e7a1b0c01";
/// A company's tenant whose administrators have to consent first.
pub const STRICT_COMPANY: &str = "5f0b1a3e-0c5e-4c6a-9d3e-2d7e7a1b0c02";

/// Somebody's account with a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// By which the provider knows the person: Google's and Apple's `sub`, GitHub's `id`, Microsoft's `oid`.
    pub subject: String,
    /// The address.
    pub email: Option<String>,
    /// Whether the provider has verified it.
    pub verified: bool,
    /// Whether the person does not show it: GitHub's profile has none, and Apple makes a relay.
    pub hidden: bool,
    /// What GitHub's profile shows instead.
    pub public_email: Option<String>,
    /// Whether the person refuses to let clients know anything.
    pub refuses: bool,
    /// Microsoft's tenant, or Google's Workspace domain.
    pub tenant: Option<String>,
    /// First name.
    pub given_name: String,
    /// Last name.
    pub family_name: String,
    /// Where a picture is.
    pub picture: Option<String>,
}

impl Account {
    /// The account that somebody has made with a provider; `nth` counts those that were deleted before.
    pub(crate) fn new(provider: Provider, name: &str, nth: u32) -> Self {
        let seed = format!("{} {name} {nth}", provider.as_str());
        let hash = digest(&SHA256, seed.as_bytes());
        let mut given_name = name.to_owned();
        if let Some(first) = given_name.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        let host = if provider == Provider::Google { "gmail.com" } else { "example.test" };
        Self {
            subject: subject(provider, hash.as_ref()),
            email: Some(format!("{name}@{host}")),
            verified: true,
            hidden: false,
            public_email: None,
            refuses: false,
            tenant: (provider == Provider::Microsoft).then(|| COMPANY.to_owned()),
            given_name,
            family_name: "Lovelace".to_owned(),
            picture: Some(format!("https://pictures.example.test/{name}.png")),
        }
    }

    /// The account with these members changed (RFC 7396).
    pub(crate) fn changed(&self, members: &Map<String, Value>) -> Result<Self, serde_json::Error> {
        let mut all = serde_json::to_value(self)?;
        for (name, value) in members {
            all[name] = value.clone();
        }
        serde_json::from_value(all)
    }

    /// First and last name.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name)
    }
}

/// In the form of each provider.
fn subject(provider: Provider, hash: &[u8]) -> String {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    match provider {
        Provider::Google => format!("1{number:020}"),
        Provider::Github => (number % 100_000_000 + 1).to_string(),
        Provider::Microsoft => {
            let at = |range| &hex[range];
            format!("{}-{}-4{}-8{}-{}", at(0..8), at(8..12), at(12..15), at(15..18), at(18..30))
        }
        Provider::Apple => format!("00{:04}.{}.{:04}", number % 10_000, &hex[..32], number % 9_973),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_have_the_form_of_their_provider() {
        let of = |provider| Account::new(provider, "ada", 0).subject;
        assert_eq!(of(Provider::Google).len(), 21);
        assert!(of(Provider::Github).parse::<u64>().is_ok());
        assert_eq!(of(Provider::Microsoft).len(), 36);
        assert_eq!(of(Provider::Apple).split('.').map(str::len).collect::<Vec<_>>(), [6, 32, 4]);
        assert_eq!(of(Provider::Apple), of(Provider::Apple));
        assert_ne!(of(Provider::Apple), Account::new(Provider::Apple, "ada", 1).subject);
    }

    #[test]
    fn members_of_an_account_are_changed_alone_and_only_those_that_there_are() {
        let account = Account::new(Provider::Github, "ada", 0);
        let change = |text| account.changed(&serde_json::from_str(text).unwrap());
        let changed = change(r#"{"email": null, "verified": false}"#).unwrap();
        assert_eq!((changed.email, changed.verified), (None, false));
        assert_eq!(changed.subject, account.subject);
        assert!(change(r#"{"mail": "a@b"}"#).is_err());
    }
}
