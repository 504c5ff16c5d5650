//! E-mail addresses as people may write them.

use lettre::Address;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};

/// More than any mail server takes (RFC 5321).
const LONGEST: usize = 254;

/// An e-mail address of the plain form: letters, digits and a few signs, `@`, and a domain with a dot. Quoted names,
/// comments and addresses of hosts are of no use to people, and of much use to those who smuggle headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(Address);

impl Email {
    /// Reads an address; nothing if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@.!#$%&'*+-/=?^_`{|}~".contains(&byte);
        let (_, domain) = text.split_once('@')?;
        let named = domain.contains('.') && domain.bytes().any(|byte| byte.is_ascii_alphabetic());
        let fits = text.len() <= LONGEST && text.bytes().all(plain) && named;
        fits.then(|| text.parse().ok())?.map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }

    pub(super) fn address(&self) -> &Address {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("this is not an e-mail address"))
    }
}

impl Serialize for Email {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_people_are_read() {
        for good in
            ["ada@example.com", " ada.lovelace+garden@mail.example.co.uk ", "o'neil@xn--mnchen-3ya.example"]
        {
            assert_eq!(
                Email::parse(good).map(|email| email.as_str().to_owned()).as_deref(),
                Some(good.trim())
            );
        }
    }

    #[test]
    fn whatever_could_become_something_else_is_refused() {
        let long = format!("{}@example.com", "a".repeat(LONGEST));
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "ada@192.0.2.1",
            "ada@[192.0.2.1]",
            "ada@example.com, bob@example.com",
            "ada@example.com\r\nBcc: bob@example.com",
            "ada@example.com\nx",
            "Ada <ada@example.com>",
            "\"ada> x\"@example.com",
            "ada bob@example.com",
            "ada@@example.com",
            "ada@exa\u{0}mple.com",
            "ad\u{e4}@example.com",
            ".ada@example.com",
            &long,
        ] {
            assert_eq!(Email::parse(bad), None, "{bad:?}");
        }
    }
}
