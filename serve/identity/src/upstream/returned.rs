//! What a login provider sends the browser back with.

use serde::{Deserialize, Serialize};
use url::form_urlencoded;

/// Longer than any code, state or error.
const LONGEST: usize = 4_096;

/// What came back. Providers add parameters of their own, which mean nothing here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// Whose attempt it is.
    pub state: Option<String>,
    /// Redeems who somebody is.
    pub code: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// The same in the provider's words.
    pub error_description: Option<String>,
    /// Who has answered (RFC 9207).
    pub iss: Option<String>,
    /// What Apple says of somebody beside its token.
    pub user: Option<String>,
}

impl Returned {
    /// From a query or a form: each parameter may be there once. What is beside the signed answer, `user`, comes by a form
    /// alone.
    pub fn read(encoded: &[u8], is_form: bool) -> Option<Self> {
        let mut returned = Self::default();
        let mut length = 0;
        for (name, value) in form_urlencoded::parse(encoded) {
            let place = match &*name {
                "state" => &mut returned.state,
                "code" => &mut returned.code,
                "error" => &mut returned.error,
                "error_description" => &mut returned.error_description,
                "iss" => &mut returned.iss,
                "user" if is_form => &mut returned.user,
                _ => continue,
            };
            length += value.len();
            if place.replace(value.into_owned()).is_some() || length > LONGEST {
                return None;
            }
        }
        Some(returned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_is_there_once_and_what_is_not_known_means_nothing() {
        let read = |text: &str| Returned::read(text.as_bytes(), false);
        let returned = read("state=s&code=c%2B1&scope=a+b&authuser=0&user=x").unwrap();
        assert_eq!((returned.state.as_deref(), returned.code.as_deref()), (Some("s"), Some("c+1")));
        assert_eq!(returned.user, None);
        assert_eq!(Returned::read(b"user=x", true).unwrap().user.as_deref(), Some("x"));
        assert_eq!(read("state=s&code=c&state=s"), None);
        assert_eq!(read("code=c&error=e&code=d"), None);
        assert_eq!(read(&format!("code={}", "a".repeat(LONGEST + 1))), None);
        assert_eq!(read(""), Some(Returned::default()));
    }
}
